// What peers say to each other about one pack. `core/swarm/encode-frame.ts` puts these into bytes;
// the payload of a block follows its frame and never enters a machine.

/** A relay is a peer with a bigger store: it is asked last, and its bytes are counted apart. */
export type PeerRole = "relay" | "agent";

/** Text id of a peer. */
export type PeerId = string;

/** Why a block is not given. `absent`: the piece is not here. `busy`: too much is queued, ask later. */
export type RefuseReason = "absent" | "busy";

/** A run of bytes of a piece, at most BLOCK_BYTES_MAX. */
export interface Block {
  readonly piece: number;
  readonly offset: number;
  readonly bytes: number;
}

export type Message =
  | { readonly kind: "bitfield"; readonly bits: Uint8Array }
  | { readonly kind: "have"; readonly pieces: readonly number[] }
  /** Has these too, and would send `count` of them now: answered by requests, or by `decline` of the first. */
  | { readonly kind: "offer"; readonly count: number; readonly pieces: readonly number[] }
  /** Needs none of what was offered with this piece. */
  | { readonly kind: "decline"; readonly piece: number }
  | ({ readonly kind: "request" } & Block)
  | { readonly kind: "cancel"; readonly piece: number }
  | ({ readonly kind: "block" } & Block)
  /** A block arrived: of those sent the oldest that this was not said of. */
  | { readonly kind: "got" }
  | { readonly kind: "refuse"; readonly piece: number; readonly reason: RefuseReason };
