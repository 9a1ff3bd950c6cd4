// Who is in which pack's swarm in a region, as one relay knows it: its own agents, and what its siblings
// say of theirs. Newcomers get a few members (`swarm-members.ts`); how siblings tell each other is not its
// business.
import type { Random } from "../swarm/random.ts";
import { type Asker, type RosterMember, SwarmMembers } from "./swarm-members.ts";

/** A member of a pack's swarm. */
export interface Membership {
  readonly pack: string;
  readonly member: RosterMember;
}

/** What a sibling says of its agents. */
export interface RosterNews {
  /** Replaces what it said before. */
  readonly full: boolean;
  readonly joined: readonly Membership[];
  readonly left: readonly Membership[];
}

/** The members of every pack's swarm. */
export class Roster {
  readonly #random: Random;
  readonly #swarms = new Map<string, SwarmMembers>();
  /** Key of our own agents is our relay's id. */
  readonly #own: string;

  constructor(ownRelayId: string, random: Random) {
    this.#own = ownRelayId;
    this.#random = random;
  }

  /** An agent of `relayId` (ours by default) is in the swarm, at that address. */
  join({ pack, member }: Membership, relayId: string = this.#own): void {
    const swarm = this.#swarms.get(pack) ?? new SwarmMembers();
    this.#swarms.set(pack, swarm);
    swarm.put({ member, relayId });
  }

  /** It left; ignored where it has come to another relay since. */
  leave(pack: string, peerId: string, relayId: string = this.#own): void {
    const swarm = this.#swarms.get(pack);
    if (swarm?.get(peerId)?.relayId !== relayId) return;
    swarm.remove(peerId);
    if (swarm.size === 0) this.#swarms.delete(pack);
  }

  /** Forgets all agents of a relay. */
  forget(relayId: string): void {
    for (const [pack, swarm] of [...this.#swarms]) {
      for (const { peerId } of swarm.of(relayId)) this.leave(pack, peerId, relayId);
    }
  }

  /** A sibling has said what changed among its agents. */
  heard(relayId: string, { full, joined, left }: RosterNews): void {
    if (full) this.forget(relayId);
    for (const { pack, member } of left) this.leave(pack, member.peerId, relayId);
    for (const membership of joined) this.join(membership, relayId);
  }

  /** All memberships of our own agents. */
  own(): Membership[] {
    return [...this.#swarms].flatMap(([pack, swarm]) =>
      swarm.of(this.#own).map((member) => ({ pack, member })),
    );
  }

  /** Number of members of a pack's swarm. */
  size(pack: string): number {
    return this.#swarms.get(pack)?.size ?? 0;
  }

  /** The relay of a member, ours or a sibling. */
  relayOf(pack: string, peerId: string): string | undefined {
    return this.#swarms.get(pack)?.get(peerId)?.relayId;
  }

  /** Whom one that comes to a pack's swarm, or comes again, is told (`swarm-members.ts`). */
  introduce(pack: string, asker: Asker): RosterMember[] {
    return this.#swarms.get(pack)?.introduce(asker, this.#random) ?? [];
  }

  /** Up to `count` members, some of them near, without the asker, those it knows and those of no use to it. */
  choose(pack: string, asker: Asker, count: number): RosterMember[] {
    return this.#swarms.get(pack)?.choose(asker, count, this.#random) ?? [];
  }
}
