// What peers say to each other about one pack. `core/swarm/frame-codec.ts` puts these into bytes;
// the payload of a block follows its frame and never enters a machine.
import type { Bitfield } from "./bitfield.ts";

/** A relay is a peer with a bigger store; the difference is only who is asked first and how bytes are counted. */
export type PeerRole = "relay" | "agent";

/** Text id of a peer, at most `PEER_ID_BYTES_MAX` bytes. */
export type PeerId = string;

export type Message =
  | { readonly kind: "have-all"; readonly bits: Bitfield }
  | { readonly kind: "have"; readonly pieces: readonly number[] }
  | {
      readonly kind: "request";
      readonly piece: number;
      readonly offset: number;
      readonly bytes: number;
    }
  | { readonly kind: "cancel"; readonly piece: number }
  | {
      readonly kind: "block";
      readonly piece: number;
      readonly offset: number;
      readonly bytes: number;
    }
  | { readonly kind: "refuse"; readonly piece: number; readonly reason: RefuseReason }
  | { readonly kind: "alive" };

/** `absent`: it does not have the piece; `busy`: its queue for us is full, ask again later. */
export type RefuseReason = "absent" | "busy";
