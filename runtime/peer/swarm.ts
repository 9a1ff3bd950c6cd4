// What a program sees of one pack's swarm: it says which pieces it wants and whom to ask, and hears
// which pieces came. How they come is the business of `core/swarm` and of `swarm-node.ts`.
import type { PeerRole } from "../../core/swarm/message.ts";

/** Someone to exchange pieces with; `address` is host:port, or empty where it does not listen. */
export interface Introduction {
  readonly peerId: string;
  readonly address: string;
  readonly role: PeerRole;
  /** It can be called with the help of a relay. */
  readonly isCallable?: boolean;
}

/** How far a swarm is; bytes are encoded bytes of pieces, `fromRelay` and `fromPeers` payload received. */
export interface SwarmProgress {
  readonly have: number;
  readonly wanted: number;
  readonly bytesHave: number;
  readonly bytesWanted: number;
  readonly fromRelay: number;
  readonly fromPeers: number;
}

/** Why a swarm stopped fetching; `resume()` goes on once the cause is gone. It serves on meanwhile. */
export interface SwarmFailure {
  readonly kind: "store-full" | "store-broken";
  readonly message: string;
}

/** Payload bytes by source, counted here as they arrive, and those sent to others. */
export interface SwarmBytes {
  readonly fromRelay: number;
  readonly fromPeers: number;
  readonly sent: number;
}

/** The few log methods used by the swarm; a pino logger fits. */
export interface SwarmLog {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

/** Our part in the swarm of one pack. */
export interface Swarm {
  readonly pack: string;
  readonly bytes: SwarmBytes;
  /** Appends 44-byte rows to the piece table, here and in the store. */
  extend(rows: Uint8Array): void;
  /** Adds to the wanted pieces; "all" also covers rows that come later. Pieces may be named early. */
  want(pieces: "all" | readonly number[]): void;
  /** It goes before the other swarms of this process from now on, or is one of them; its peers are to know it, too. */
  urge(isUrgent: boolean): void;
  /** Tells that the store has got a piece in another way (mirrored from the origin). */
  stored(piece: number): void;
  /** Gives peers to connect to; known ones are updated, ourselves is ignored. */
  introduce(peers: readonly Introduction[]): void;
  /** Takes peers back: no further connection is tried; an open one stays while it is useful. */
  forget(peerIds: readonly string[]): void;
  /** Calls back for each piece that became whole, by whatever way; returns how to stop that. */
  onPiece(callback: (piece: number) => void): () => void;
  /** Calls back when fetching has paused because of the store; returns how to stop that. */
  onFailed(callback: (failure: SwarmFailure) => void): () => void;
  /** Calls back when there are too few neighbours and more are to be introduced; returns how to stop that. */
  onSeek(callback: () => void): () => void;
  /** The failure that paused fetching, if one does now. */
  readonly failure: SwarmFailure | undefined;
  /** Fetches on after a failure. */
  resume(): void;
  /** Resolves when the store has all these pieces; rejects when the swarm is left before. */
  whenHas(pieces: readonly number[]): Promise<void>;
  progress(): SwarmProgress;
  /** Peers connected now. */
  peers(): number;
  /** Closes the connections and waits for writes under way; the store stays open. */
  leave(): Promise<void>;
}
