// One process's place in its region's swarms: one TCP listener, one SwarmPeer machine per pack.
// It routes connections to packs and owns nothing that a machine decides.
import type { Instant } from "../../core/machine.ts";
import type { PeerRole } from "../../core/swarm/message.ts";
import type { PieceStore } from "./piece-store.ts";
import type { Swarm } from "./swarm.ts";

/** The few log methods used here; a pino logger fits. */
export interface SwarmLog {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

export interface SwarmNodeOptions {
  readonly peerId: string;
  readonly role: PeerRole;
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  /** Address told to others, host:port; left out: the address listened on. */
  readonly advertise?: string;
  readonly log?: SwarmLog;
  readonly now?: () => Instant;
}

/** Listens on one TCP port for all packs; `address` is what others are told. */
export declare class SwarmNode {
  static listen(options: SwarmNodeOptions): Promise<SwarmNode>;
  readonly address: string;
  /** Enters a pack's swarm; the store stays the caller's. Throws when the pack is joined already. */
  join(pack: string, store: PieceStore, wanted: "all" | readonly number[]): Swarm;
  /** Leaves all swarms and stops listening. */
  close(): Promise<void>;
}
