// Who is in which swarm as one relay of a fleet knows it: the roster of production, told by its own agents, and by
// siblings over streams, as its outbox decides. The leader says who the siblings are; streams are kept as
// relay/roster-links.ts keeps them.
import { Roster, type RosterNews } from "../../core/fleet/roster.ts";
import { RosterOutbox } from "../../core/fleet/roster-outbox.ts";
import type { RosterMember } from "../../core/fleet/swarm-members.ts";
import type { Random } from "../../core/swarm/random.ts";
import type { FlowClock } from "./flow-clock.ts";

/** From relay to relay of a region. */
const LAN_MS = 1;
/** A stream is opened: connection, call, first answer. */
const DIAL_MS = 4 * LAN_MS;
const NOBODY: ReadonlySet<string> = new Set();

export interface RosterWorld {
  readonly clock: FlowClock;
  /** Of rosters alone: whom they choose changes nothing else. */
  readonly rosterRandom: Random;
  note(who: number, kind: string): void;
}

export class RelayRoster {
  readonly id: string;
  readonly #index: number;
  readonly #world: RosterWorld;
  #roster: Roster;
  #isUp = true;
  #siblings: readonly RelayRoster[] = [];
  /** What each sibling at the other end of an open stream has not heard of yet. */
  readonly #streams = new Map<RelayRoster, Stream>();
  /** Told to siblings since the beginning: messages, and members that have joined or left in them. */
  messages = 0;
  membersTold = 0;

  /** `relay`: whose it is. */
  constructor(relay: { readonly id: string; readonly index: number }, world: RosterWorld) {
    this.id = relay.id;
    this.#index = relay.index;
    this.#world = world;
    this.#roster = this.#newRoster();
  }

  /** An own agent joins a swarm. */
  join(pack: string, member: RosterMember): void {
    this.#roster.join({ pack, member });
    this.#changed(pack, member, true);
  }

  /** An own agent leaves one, or is gone. */
  leave(pack: string, member: RosterMember): void {
    if (!this.#isUp) return;
    this.#roster.leave(pack, member.peerId);
    this.#changed(pack, member, false);
  }

  /** Those whom an own agent is told of. Asked only where it matters who they are: it costs the most. */
  introduce(pack: string, member: RosterMember): readonly RosterMember[] {
    const asker = { ...member, isCaller: false, told: NOBODY };
    return this.#roster.introduce(pack, asker);
  }

  /** Members of a swarm in the region, as far as it has heard. */
  size(pack: string): number {
    return this.#roster.size(pack);
  }

  /** The leader says which relays of the region are connected to it. */
  siblings(relays: readonly RelayRoster[]): void {
    if (!this.#isUp) return;
    const others = relays.filter((relay) => relay !== this);
    for (const gone of this.#siblings) {
      if (others.includes(gone)) continue;
      this.#roster.forget(gone.id);
      if (this.id < gone.id) this.#hangUp(gone);
    }
    this.#siblings = others;
    // Of two the one with the lower id dials.
    for (const other of others) if (this.id < other.id) this.#dial(other);
  }

  /** kill -9: it forgets all, and its streams end. */
  kill(): void {
    this.#isUp = false;
    for (const other of [...this.#streams.keys()]) this.#hangUp(other);
    this.#siblings = [];
  }

  restart(): void {
    this.#isUp = true;
    this.#roster = this.#newRoster();
  }

  #newRoster(): Roster {
    return new Roster(this.id, this.#world.rosterRandom);
  }

  #dial(other: RelayRoster): void {
    this.#world.clock.in(DIAL_MS, () => {
      const isWanted = this.#isUp && other.#isUp && this.#siblings.includes(other);
      if (!isWanted || this.#streams.has(other)) return;
      this.#open(other);
      other.#open(this);
    });
  }

  #open(other: RelayRoster): void {
    const stream = { outbox: new RosterOutbox(this.#roster.own()), isArmed: false };
    this.#streams.set(other, stream);
    this.#speak(other, stream);
  }

  #hangUp(other: RelayRoster): void {
    this.#streams.delete(other);
    other.#streams.delete(this);
  }

  #changed(pack: string, member: RosterMember, joined: boolean): void {
    for (const [other, stream] of this.#streams) {
      stream.outbox.changed({ pack, member }, joined);
      this.#arm(other, stream);
    }
  }

  #heard(sibling: string, news: RosterNews): void {
    this.#world.note(this.#index, news.full ? "whole-roster" : "roster");
    this.#roster.heard(sibling, news);
  }

  #arm(other: RelayRoster, stream: Stream): void {
    const { clock } = this.#world;
    const { dueAt } = stream.outbox;
    if (stream.isArmed || dueAt === Number.POSITIVE_INFINITY) return;
    stream.isArmed = true;
    clock.at(dueAt, () => {
      stream.isArmed = false;
      if (this.#streams.get(other) === stream) this.#speak(other, stream);
    });
  }

  #speak(other: RelayRoster, stream: Stream): void {
    const { clock } = this.#world;
    const shares = stream.outbox.take(clock.now);
    this.messages += shares.length;
    for (const { joined, left } of shares) this.membersTold += joined.length + left.length;
    clock.in(LAN_MS, () => {
      if (this.#streams.get(other) !== stream) return;
      for (const news of shares) other.#heard(this.id, news);
    });
    this.#arm(other, stream);
  }
}

/** One way of a stream. */
interface Stream {
  readonly outbox: RosterOutbox;
  isArmed: boolean;
}
