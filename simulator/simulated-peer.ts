// What the simulator knows of one peer beside its machine: its NIC, its connections, what its disk holds,
// and what became of it. It does nothing.
import type { Instant } from "../core/machine.ts";
import { Bitfield } from "../core/swarm/bitfield.ts";
import { Lane, type Share } from "../core/swarm/lane.ts";
import type { Message, PeerId, PeerRole } from "../core/swarm/message.ts";
import { SwarmPeer } from "../core/swarm/swarm-peer.ts";
import type { Conduct } from "./conduct.ts";
import { type Host, newHost, Pipe } from "./network.ts";

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
  /** Where it stands; left out: nobody knows. */
  readonly rack?: string;
  readonly conduct?: Conduct;
  /** It starts with every piece. */
  readonly seeds?: boolean;
}

/**
 * A direction of a connection: who speaks to whom. All that a listener needs of who speaks, and a speaker of who
 * listens, is here too, so that the other has not to be fetched from memory.
 */
export class Link extends Pipe {
  readonly other: SimulatedPeer;
  readonly fromId: PeerId;
  readonly otherId: PeerId;
  /** Where the machine of who listens keeps who speaks. */
  place: number | undefined = undefined;
  /** The other direction; told when both are made. */
  back: Link | undefined = undefined;
  /** What arrived while nothing was to arrive. */
  heldBack: Message[] | undefined = undefined;
  readonly isHonest: boolean;
  readonly isFromRelay: boolean;
  /** It comes from outside into the rack of who listens. */
  readonly isIntoRack: boolean;
  /** Blocks handed over that found no room in the send buffer. */
  unsent = 0;
  readonly from: SimulatedPeer;

  constructor(from: SimulatedPeer, other: SimulatedPeer) {
    super(from.host, other.host);
    this.from = from;
    this.other = other;
    this.fromId = from.id;
    this.otherId = other.id;
    this.isHonest = (from.plan.conduct ?? "honest") === "honest";
    this.isFromRelay = from.plan.role === "relay";
    this.isIntoRack = from.plan.rack !== other.plan.rack;
  }
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
  parts: Map<number, Part> | undefined;
  /** Pieces that were whole and had rotted; undefined: none ever was. */
  lost: Set<number> | undefined;
  /** The block that arrived last is not what it should be. */
  isArrivingBad: boolean;
  startedAt: Instant;
  wholeAt: Instant | undefined;
  receivedBytes: number;
  relayBytes: number;
  /** Of those received: what came from outside of its rack. */
  intoRackBytes: number;
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
    parts: undefined,
    lost: undefined,
    isArrivingBad: false,
    startedAt: 0,
    wholeAt: undefined,
    receivedBytes: 0,
    relayBytes: 0,
    intoRackBytes: 0,
    corrupt: new Map(),
  };
  process.push(peer);
  return peer;
}

/** The connection to a peer; undefined when there is none. */
export function linkTo({ lastLink, links }: SimulatedPeer, id: PeerId): Link | undefined {
  return lastLink !== undefined && lastLink.otherId === id ? lastLink : links.get(id);
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
