// What one relay still has to tell one sibling about swarm members: everything at first, then the
// differences, each in messages of bounded size, and never more often than the interval.
import type { Instant } from "../machine.ts";
import type { Membership, RosterNews } from "./roster.ts";

/** Relays tell each other of changes at most once a second. */
const SHARE_INTERVAL_MS = 1_000;
/** Members in one message: 352 x 730 bytes at most (pack, id, address, zone, rack) are below its 256 KiB. */
export const MEMBERS_PER_MESSAGE_MAX = 352;

/** Changes that one sibling has not heard of yet. */
export class RosterOutbox {
  #isFirst = true;
  #nextAt: Instant = Number.NEGATIVE_INFINITY;
  /** The last change of each member wins, so that a flapping agent costs one entry. */
  readonly #changes = new Map<string, { readonly joined: boolean; readonly of: Membership }>();

  /** `all` is what is said at first. */
  constructor(all: readonly Membership[]) {
    for (const membership of all) this.changed(membership, true);
  }

  /** An own agent has joined or left a swarm. */
  changed(of: Membership, joined: boolean): void {
    this.#changes.set(`${of.pack} ${of.member.peerId}`, { joined, of });
  }

  /** When there may be something to say; `now` or earlier: `take` it. */
  get dueAt(): Instant {
    return this.#isFirst || this.#changes.size > 0 ? this.#nextAt : Number.POSITIVE_INFINITY;
  }

  /** The messages that are due, in order; none before `dueAt`. */
  take(now: Instant): RosterNews[] {
    if (now < this.dueAt) return [];
    const shares: RosterNews[] = [];
    const changes = [...this.#changes.values()];
    for (let at = 0; at < changes.length || shares.length === 0; at += MEMBERS_PER_MESSAGE_MAX) {
      const part = changes.slice(at, at + MEMBERS_PER_MESSAGE_MAX);
      shares.push({
        full: this.#isFirst && at === 0,
        joined: part.filter(({ joined }) => joined).map(({ of }) => of),
        left: part.filter(({ joined }) => !joined).map(({ of }) => of),
      });
    }
    this.#isFirst = false;
    this.#changes.clear();
    this.#nextAt = now + SHARE_INTERVAL_MS;
    return shares;
  }
}
