// What the simulator knows of one peer beside its machine: its NIC, its connections, what its disk holds,
// and what became of it. It does nothing.
import type { Instant } from "../core/machine.ts";
import { Bitfield } from "../core/swarm/bitfield.ts";
import { Lane, type Share } from "../core/swarm/lane.ts";
import type { Message, PeerId, PeerRole } from "../core/swarm/message.ts";
import { SwarmPeer } from "../core/swarm/swarm-peer.ts";
import type { Conduct } from "./conduct.ts";
import { type Host, newHost, type Pipe } from "./network.ts";

export interface PeerPlan {
  readonly id: PeerId;
  readonly role: PeerRole;
  /** Bytes a millisecond. */
  readonly upRate: number;
  readonly downRate: number;
  /** Bytes a millisecond that its machine is held to; left out: what its NIC takes. */
  readonly upLimit?: number | undefined;
  readonly downLimit?: number | undefined;
  readonly isUrgent?: boolean;
  readonly conduct?: Conduct;
  /** It starts with every piece. */
  readonly seeds?: boolean;
}

/** A direction of a connection: who speaks to whom. */
export interface Link {
  readonly from: SimulatedPeer;
  readonly other: SimulatedPeer;
  /** Of who speaks: all that a listener needs of it, so that it has not to be fetched from memory. */
  readonly fromId: PeerId;
  readonly isFromRelay: boolean;
  readonly isCorrupting: boolean;
  readonly out: Pipe;
  /** Blocks handed over that found no room in the send buffer. */
  unsent: number;
  /** The other direction; told when both are made. */
  back: Link | undefined;
  /** What arrived while nothing was to arrive. */
  heldBack: Message[] | undefined;
}

export interface SimulatedPeer {
  readonly id: PeerId;
  readonly plan: PeerPlan;
  readonly index: number;
  readonly host: Host;
  /** What the machines of its process share, and those peers, itself too: one in each of several swarms. */
  readonly share: Share;
  readonly process: SimulatedPeer[];
  machine: SwarmPeer;
  readonly links: Map<PeerId, Link>;
  /** The one that something came by last: mostly an answer leaves by it. */
  lastLink: Link | undefined;
  isUp: boolean;
  wakeAt: Instant;
  /** Whole pieces. */
  readonly held: Bitfield;
  /** What is stored of pieces that are not whole; of one that comes in one block nothing is kept. */
  readonly parts: Map<number, Part>;
  /** Pieces that were whole and had rotted. */
  readonly lost: Set<number>;
  /** The block that arrived last is not what it should be. */
  isArrivingBad: boolean;
  startedAt: Instant;
  wholeAt: Instant | undefined;
  receivedBytes: number;
  relayBytes: number;
  /** Corrupt pieces that it compared, by who gave them. */
  readonly corrupt: Map<PeerId, number>;
}

/** What is stored of a piece that is not whole. */
interface Part {
  bytes: number;
  readonly givers: Set<PeerId>;
  isBad: boolean;
}

/** What peers are made from beside their plans. */
export interface PeerMaking {
  readonly index: number;
  /** Of the whole world. */
  readonly seed: number;
  readonly roundTripMs: number;
  /** Of the events of its host. */
  readonly group: number;
  /** A peer of the same process, in another swarm. */
  readonly beside?: SimulatedPeer | undefined;
}

/** A peer that has nothing yet. */
export function newSimulatedPeer(plan: PeerPlan, making: PeerMaking): SimulatedPeer {
  const { index, seed, roundTripMs, beside } = making;
  const {
    host = newHost(plan.upRate, plan.downRate, roundTripMs, making.group),
    share = { up: new Lane(plan.upLimit), down: new Lane(plan.downLimit) },
    process = [],
  } = beside ?? {};
  const peer: SimulatedPeer = {
    id: plan.id,
    plan,
    index,
    host,
    share,
    process,
    machine: newMachine(plan, share, seed, index),
    links: new Map(),
    lastLink: undefined,
    isUp: true,
    wakeAt: Number.POSITIVE_INFINITY,
    held: new Bitfield(),
    parts: new Map(),
    lost: new Set(),
    isArrivingBad: false,
    startedAt: 0,
    wholeAt: undefined,
    receivedBytes: 0,
    relayBytes: 0,
    corrupt: new Map(),
  };
  process.push(peer);
  return peer;
}

/** The connection to a peer; undefined when there is none. */
export function linkTo({ lastLink, links }: SimulatedPeer, id: PeerId): Link | undefined {
  return lastLink !== undefined && lastLink.other.id === id ? lastLink : links.get(id);
}

/** A machine as a process would start it; each salt gives it other dice. */
export function newMachine(plan: PeerPlan, share: Share, seed: number, salt: number): SwarmPeer {
  const { id, role, isUrgent } = plan;
  const own = Math.imul(seed + 1, 0x9e3779b1) + Math.imul(salt + 1, 0x85ebca6b);
  return new SwarmPeer({ peer: id, role, seed: own, share, isUrgent });
}

/** The swarm is whole when these are. */
export function isWaited({ plan, isUp }: SimulatedPeer): boolean {
  return isUp && (plan.conduct ?? "honest") === "honest";
}
