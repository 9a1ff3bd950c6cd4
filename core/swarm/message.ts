// What peers say to each other about one pack. `core/swarm/encode-frame.ts` puts these into bytes;
// the payload of a block follows its frame and never enters a machine.

/** A relay is a peer with a bigger store: it is asked last, and its bytes are counted apart. */
export type PeerRole = "relay" | "agent";

/** Text id of a peer. */
export type PeerId = string;

/**
 * Why a block is not given. `absent`: the piece is not here. `busy`: too much is queued, ask again
 * later. `lent`: another peer is getting the piece just now and will hand it on.
 */
export type RefuseReason = "absent" | "busy" | "lent";

/** A run of bytes of a piece, at most BLOCK_BYTES_MAX. */
export interface Block {
  readonly piece: number;
  readonly offset: number;
  readonly bytes: number;
}

export type Message =
  | { readonly kind: "bitfield"; readonly bits: Uint8Array }
  | { readonly kind: "have"; readonly pieces: readonly number[] }
  | ({ readonly kind: "request" } & Block)
  | { readonly kind: "cancel"; readonly piece: number }
  | ({ readonly kind: "block" } & Block)
  | { readonly kind: "refuse"; readonly piece: number; readonly reason: RefuseReason };
