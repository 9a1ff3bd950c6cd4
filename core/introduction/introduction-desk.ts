// Who gets introduced to whom in a swarm that one desk looks after: a newcomer is told members by chance, as relays
// tell theirs (`core/fleet/swarm-members.ts`), so that a graph of random links grows in which all have about as many,
// and whoever loses too many is told others. It sees no connection between peers, only who has come to the desk and gone.
import { type RosterMember, SwarmMembers } from "../fleet/swarm-members.ts";
import type { Instant, Machine } from "../machine.ts";
import { NEIGHBOURS_MAX } from "../swarm/limits.ts";
import type { PeerId } from "../swarm/message.ts";
import { type Random, seededRandom } from "../swarm/random.ts";

/** With fewer links left a member is told others at once, without having to ask: so none is cut off. */
export const LINKS_MIN = 6;

/** A member to connect to; `address` is host:port, "" where it cannot be dialled. */
export interface DeskMember {
  readonly peer: PeerId;
  readonly address: string;
}

export type DeskInput =
  | ({ readonly kind: "joined" } & DeskMember)
  /** A member has too few neighbours. */
  | { readonly kind: "seeks"; readonly peer: PeerId }
  | { readonly kind: "left"; readonly peer: PeerId };

export interface DeskEffect {
  readonly kind: "introduce";
  readonly to: PeerId;
  readonly members: readonly DeskMember[];
}

interface Entry extends DeskMember {
  readonly links: Set<PeerId>;
}

/** Decides who is told of whom; nothing is due by time. */
export class IntroductionDesk implements Machine<DeskInput, DeskEffect> {
  readonly deadline: Instant = Number.POSITIVE_INFINITY;
  readonly #random: Random;
  readonly #entries = new Map<PeerId, Entry>();
  readonly #members = new SwarmMembers();

  constructor(seed: number) {
    this.#random = seededRandom(seed);
  }

  /** Members now. */
  get size(): number {
    return this.#entries.size;
  }

  step(_now: Instant, input: DeskInput, effects: DeskEffect[]): void {
    switch (input.kind) {
      case "joined": {
        this.#remove(input.peer, effects);
        const entry = { peer: input.peer, address: input.address, links: new Set<PeerId>() };
        this.#introduce(entry, this.#members.introduce(askerOf(entry), this.#random), effects);
        this.#entries.set(entry.peer, entry);
        this.#members.put({ member: rosterMemberOf(entry), relayId: "" });
        return;
      }
      case "seeks": {
        const entry = this.#entries.get(input.peer);
        // It could not take more, and is not to learn of all who are there by asking again and again.
        if (entry === undefined || entry.links.size >= NEIGHBOURS_MAX) return;
        this.#introduce(entry, this.#members.introduce(askerOf(entry), this.#random), effects);
        return;
      }
      case "left":
        this.#remove(input.peer, effects);
        return;
      default:
        input satisfies never;
    }
  }

  #remove(peer: PeerId, effects: DeskEffect[]): void {
    const gone = this.#entries.get(peer);
    if (gone === undefined) return;
    this.#entries.delete(peer);
    this.#members.remove(peer);
    for (const other of gone.links) {
      const entry = this.#entries.get(other);
      if (entry === undefined) continue;
      entry.links.delete(peer);
      const lacks = LINKS_MIN - entry.links.size;
      const others = this.#members.choose(askerOf(entry), lacks, this.#random);
      this.#introduce(entry, others, effects);
    }
  }

  /** Tells a member of others, which are linked to it from now on. */
  #introduce(entry: Entry, told: readonly RosterMember[], effects: DeskEffect[]): void {
    if (told.length === 0) return;
    for (const { peerId } of told) {
      this.#entries.get(peerId)?.links.add(entry.peer);
      entry.links.add(peerId);
    }
    effects.push({ kind: "introduce", to: entry.peer, members: told.map(memberOf) });
    // Of two peers the lesser dials at once, the other after a while (`core/swarm/roster.ts`).
    for (const { peerId } of told) {
      if (peerId > entry.peer || entry.address === "") continue;
      const { peer, address } = entry;
      effects.push({ kind: "introduce", to: peerId, members: [{ peer, address }] });
    }
  }
}

function rosterMemberOf({ peer, address }: Entry): RosterMember {
  return { peerId: peer, address, isCallable: false, zone: "", rack: "" };
}

function askerOf({ peer, links }: Entry) {
  return { peerId: peer, zone: "", rack: "", isCaller: false, told: links };
}

function memberOf({ peerId, address }: RosterMember): DeskMember {
  return { peer: peerId, address };
}
