// The seam between the swarm and how bytes get to a peer: a transport gives sockets, whatever lies behind
// them. Who is at the other end, and what is said, is the business of those who use the sockets.
import type { Socket } from "node:net";
import type { PeerId } from "../../core/swarm/message.ts";
import type { Introduction } from "./swarm.ts";

/** One way to reach peers and to be reached. */
export interface PeerTransport {
  /** Whether it is worth a try for this peer. */
  reaches(peer: Introduction): boolean;
  /** Opens a stream for a pack; rejects when that comes to nothing, in bounded time, or on abort. */
  dial(pack: string, peer: Introduction, signal: AbortSignal): Promise<Socket>;
  /** Hands over what others open; `caller` is told where the transport knows who it is. */
  accept(taken: (socket: Socket, caller?: PeerId) => void): void;
  /** Takes and opens nothing more; sockets handed over stay their owners'. */
  close(): Promise<void>;
}
