// Which agents are in which swarm, and what they are told there: the pack's piece rows as they become
// known, and whom to connect to. The pieces themselves never pass here.

import { status } from "@grpc/grpc-js";
import type { Roster } from "../core/fleet/roster.ts";
import type { RosterMember } from "../core/fleet/swarm-members.ts";
import { PIECE_ROW_BYTES } from "../core/release/piece-table.ts";
import type { Neighbour, SwarmMembership } from "../proto/gen/millrace/v1/fleet.ts";
import { monotonicNow } from "../runtime/driver.ts";
import { RpcError } from "../runtime/grpc/rpc-error.ts";
import type { AgentSession, SwarmPlace } from "./agent-session.ts";
import type { PackRoom } from "./pack-room.ts";

/** Rows in one message: 128 KiB, half of what a message may have. */
const ROWS_PER_MESSAGE_MAX = Math.floor((128 * 1024) / PIECE_ROW_BYTES);
/** Swarms of one agent: 8 packs of a release, for a few services at once. */
const SWARMS_MAX = 256;

export interface SwarmDirectoryOptions {
  readonly roster: Roster;
  readonly room: (pack: string) => PackRoom | undefined;
  /** The region's relays as neighbours, ours first. */
  readonly relays: () => readonly Neighbour[];
  /** An own agent, by its id. */
  readonly session: (agentId: string) => AgentSession | undefined;
  /** An own agent that can be dialled or called has joined or left a swarm. */
  readonly onMember: (pack: string, session: AgentSession, joined: boolean) => void;
}

/** Introduces the agents of this relay. */
export class SwarmDirectory {
  readonly #options: SwarmDirectoryOptions;
  readonly #sessions = new Map<string, Set<AgentSession>>();

  constructor(options: SwarmDirectoryOptions) {
    this.#options = options;
  }

  /** An agent joins or leaves a swarm, or asks for more neighbours. */
  heard(session: AgentSession, { pack, joined, hungry }: SwarmMembership): void {
    if (!joined && !hungry) {
      this.#leave(session, pack);
      return;
    }
    const place = session.swarms.get(pack);
    if (place === undefined) this.#join(session, pack);
    else if (hungry) this.#answer(session, pack);
  }

  /** An agent's session has ended. */
  gone(session: AgentSession): void {
    for (const pack of [...session.swarms.keys()]) this.#leave(session, pack);
  }

  /** More rows of a pack are known, or that they are all. */
  rowsKnown(room: PackRoom): void {
    for (const session of this.#sessions.get(room.pack) ?? []) this.#tellRows(session, room);
  }

  #join(session: AgentSession, pack: string): void {
    if (session.swarms.size >= SWARMS_MAX) {
      const what = `pack ${pack}: ${SWARMS_MAX} swarms are joined already, the limit for one agent`;
      throw new RpcError(status.RESOURCE_EXHAUSTED, what);
    }
    const place: SwarmPlace = { peers: new Set(), pieces: 0, isSealed: false };
    session.swarms.set(pack, place);
    const sessions = this.#sessions.get(pack) ?? new Set();
    this.#sessions.set(pack, sessions.add(session));
    if (session.isReachable) this.#options.onMember(pack, session, true);
    this.#answer(session, pack);
  }

  #leave(session: AgentSession, pack: string): void {
    if (!session.swarms.delete(pack)) return;
    const sessions = this.#sessions.get(pack);
    sessions?.delete(session);
    if (sessions?.size === 0) this.#sessions.delete(pack);
    if (session.isReachable) this.#options.onMember(pack, session, false);
  }

  /** Sends the rows that the agent has not got yet. */
  #tellRows(session: AgentSession, room: PackRoom): void {
    const place = session.swarms.get(room.pack);
    if (place === undefined) return;
    const { rows } = room;
    const count = rows.length / PIECE_ROW_BYTES;
    while (place.pieces < count || (room.hasAllRows && !place.isSealed)) {
      const end = Math.min(count, place.pieces + ROWS_PER_MESSAGE_MAX);
      place.isSealed = room.hasAllRows && end === count;
      const table = rows.subarray(place.pieces * PIECE_ROW_BYTES, end * PIECE_ROW_BYTES);
      const firstPiece = place.pieces;
      place.pieces = end;
      const { pack } = room;
      session.send({
        $case: "rows",
        rows: { pack, firstPiece, table, sealed: place.isSealed },
      });
    }
  }

  /** Tells rows and neighbours, as soon as the agent may have another answer. */
  #answer(session: AgentSession, pack: string): void {
    if (session.answersDue.has(pack)) return;
    const now = monotonicNow();
    const dueAt = session.pace.dueAt(now, pack);
    if (dueAt === undefined) {
      const what = `pack ${pack}: too many swarms are joined and left at once`;
      throw new RpcError(status.RESOURCE_EXHAUSTED, what);
    }
    session.answersDue.add(pack);
    if (dueAt <= now) this.#tell(session, pack);
    else setTimeout(() => this.#tell(session, pack), Math.ceil(dueAt - now)).unref();
  }

  #tell(session: AgentSession, pack: string): void {
    session.answersDue.delete(pack);
    const place = session.swarms.get(pack);
    if (place === undefined) return;
    session.pace.answered(monotonicNow(), pack);
    const room = this.#options.room(pack);
    if (room !== undefined) this.#tellRows(session, room);
    this.#introduce(session, pack, place);
  }

  /** Sends the relays and a few members that the agent has not heard of, and tells these of it. */
  #introduce(session: AgentSession, pack: string, place: SwarmPlace): void {
    const { member } = session;
    const asker = { ...member, isCaller: isCaller(member), told: place.peers };
    const chosen = this.#options.roster.introduce(pack, asker);
    for (const { peerId } of chosen) place.peers.add(peerId);
    const agents = chosen.map(neighbourOf);
    const neighbours = [...this.#options.relays(), ...agents];
    session.send({ $case: "neighbours", neighbours: { pack, neighbours } });
    for (const other of chosen) this.#introduceTo(other, pack, member);
  }

  /**
   * Tells one of our own of a newcomer. Of two peers the lesser dials at once, the other after a while
   * (`core/swarm/roster.ts`), so only a lesser one needs it. A sibling's hears of it by being dialled.
   */
  #introduceTo(other: RosterMember, pack: string, newcomer: RosterMember): void {
    const isOfUse = newcomer.address !== "" || (newcomer.isCallable && isCaller(other));
    if (!isOfUse || newcomer.peerId < other.peerId) return;
    const session = this.#options.session(other.peerId);
    const place = session?.swarms.get(pack);
    if (place === undefined || place.peers.has(newcomer.peerId)) return;
    place.peers.add(newcomer.peerId);
    const neighbours = [neighbourOf(newcomer)];
    session?.send({ $case: "neighbours", neighbours: { pack, neighbours } });
  }
}

/** Whether it has to call: it has no address that others could dial. */
function isCaller({ address, isCallable }: RosterMember): boolean {
  return address === "" && isCallable;
}

/** A member as its neighbours are told of it. */
export function neighbourOf({ peerId, address, isCallable }: RosterMember): Neighbour {
  return { peer: peerId, address, relay: false, callable: isCallable };
}
