// What a swarm in virtual time is made of: its pieces, its network, its disks, who introduces its peers.
import type { SimulatedPeer } from "./simulated-peer.ts";

export interface SwarmWorldOptions {
  /** Encoded bytes of each piece. */
  readonly pieceBytes: readonly number[];
  readonly seed: number;
  /** From any host to any other and back. */
  readonly roundTripMs: number;
  /** Milliseconds that a process takes to answer a new connection. */
  readonly setUpMs: number;
  readonly runBytes: number;
  readonly sendBufferBytes: number;
  readonly windowBytes: number;
  /** Bytes a millisecond at which a connection sends at most; left out: as fast as its NIC. */
  readonly paceRate?: number;
  readonly isFifo: boolean;
  /**
   * Each host is looked at for as long as nothing reaches it from another, half a round trip, before the next. Where
   * hosts are many this takes far less time, as each is fetched from memory once for several events. What one finds
   * out of the queue before another's downlink may be so much too old; what ends or is planned counts from the next.
   */
  readonly isByHost?: boolean;
  /** About how long a few events take. */
  readonly bucketMs: number;
  /** How long a disk takes to write a block or to compare a piece; left out: no time. */
  readonly diskMs?: number;
  /** Whether the next block that arrives anywhere has been changed on its way; left out: none is. */
  readonly isFlipped?: () => boolean;
  /** A peer is to be told of more, as it has asked a round trip ago; left out: it is not. */
  readonly onSeek?: (peer: SimulatedPeer) => void;
}
