// The seam of the swarm peer: facts that happened to it, and commands that it gives. Payload stays on
// the other side: a `received` block has arrived whole in a buffer, and a command says what becomes of it.
import type { Block, Message, PeerId, PeerRole } from "./message.ts";

export type SwarmInput =
  /** The piece table grew by pieces of these encoded bytes. */
  | { readonly kind: "extended"; readonly bytes: readonly number[] }
  | { readonly kind: "wanted"; readonly pieces: "all" | readonly number[] }
  /** The store has the piece, by another way than this swarm. */
  | { readonly kind: "piece-added"; readonly piece: number }
  /** A piece that it had is not what it was: the store has it no more. */
  | { readonly kind: "piece-lost"; readonly piece: number }
  | {
      readonly kind: "introduced";
      readonly peers: readonly { readonly peer: PeerId; readonly role: PeerRole }[];
    }
  | { readonly kind: "forgotten"; readonly peers: readonly PeerId[] }
  | { readonly kind: "connected"; readonly peer: PeerId; readonly role: PeerRole }
  | { readonly kind: "dial-failed"; readonly peer: PeerId }
  | { readonly kind: "disconnected"; readonly peer: PeerId }
  | {
      readonly kind: "received";
      readonly from: PeerId;
      /** What `placeOf` said of it, where that is at hand: so it is found sooner than by its name. */
      readonly place?: number | undefined;
      readonly message: Message;
    }
  | ({ readonly kind: "block-stored"; readonly from: PeerId } & Block)
  /** The store could not take the block; fetching pauses until `resumed`. */
  | { readonly kind: "store-failed"; readonly from: PeerId; readonly piece: number }
  | { readonly kind: "resumed" }
  | { readonly kind: "piece-verified"; readonly piece: number }
  | { readonly kind: "piece-corrupt"; readonly piece: number }
  | { readonly kind: "block-sent"; readonly to: PeerId }
  /** The store could not read a block that was to be sent. */
  | { readonly kind: "read-failed"; readonly to: PeerId; readonly piece: number }
  /** This swarm goes before the others of the process from now on, or is one of them. */
  | { readonly kind: "urged"; readonly isUrgent: boolean }
  /** Another swarm of this process leaves room. */
  | { readonly kind: "room-left" }
  | { readonly kind: "wake" };

/** A message came from a neighbour. */
export type Received = Extract<SwarmInput, { readonly kind: "received" }>;

/** Why a neighbour is disconnected; also what the log says. */
export type DisconnectReason =
  | "banned"
  | "corrupt piece"
  | "evicted for another peer"
  | "no room for another peer"
  | "noise"
  | "protocol violation"
  | "stalled reader"
  | "timed out";

export type SwarmEffect =
  | { readonly kind: "dial"; readonly peer: PeerId }
  /** Be told of more peers: those that are known are too few. */
  | { readonly kind: "seek" }
  | { readonly kind: "disconnect"; readonly peer: PeerId; readonly reason: DisconnectReason }
  | { readonly kind: "send"; readonly to: PeerId; readonly message: Message }
  /** Read the block and send it; answered by `block-sent` or `read-failed` while connected. */
  | ({ readonly kind: "send-block"; readonly to: PeerId } & Block)
  /** Write the block that was just received; answered by `block-stored` or `store-failed`. */
  | ({ readonly kind: "store-block"; readonly from: PeerId } & Block)
  /** Throw away the block that was just received. */
  | { readonly kind: "drop-block"; readonly from: PeerId }
  /** Compare the piece's digest; answered by `piece-verified` or `piece-corrupt`. */
  | { readonly kind: "finish"; readonly piece: number }
  /** Forget the bytes of the unfinished piece. */
  | { readonly kind: "discard"; readonly piece: number }
  /** Tell the other swarms of this process `room-left`. */
  | { readonly kind: "leave-room" };

/** True for a fact that gives nobody a reason to be offered more: most are such. */
export function isQuiet(input: SwarmInput): boolean {
  if (input.kind === "block-stored") return true;
  if (input.kind !== "received") return false;
  const { kind } = input.message;
  return kind === "have" || kind === "offer" || kind === "block";
}
