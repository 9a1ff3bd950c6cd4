// Sums over one relay's machines of one rollout, kept as machines change: a relay has thousands of them and
// reports each second, and most have said nothing since. What a machine counts as is not decided here.

/** Where a machine stands in a rollout. */
export type Place = "fetching" | "staged" | "activating" | "active" | "failed" | "reverted";

/** Bytes that machines got, by source. */
export interface BytesBySource {
  readonly relay: number;
  readonly peer: number;
  readonly local: number;
}

/** A machine that failed, and how. */
export interface FailingMember {
  readonly agentId: string;
  readonly region: string;
  readonly error: string;
}

/** What one machine adds to the sums. */
export interface MemberShare {
  readonly place: Place;
  readonly isAway: boolean;
  readonly isEarly: boolean;
  readonly mustRevert: boolean;
  /** First wave it is in; undefined: none yet. */
  readonly wave: number | undefined;
  /** Undefined: it does not fail. */
  readonly failing: FailingMember | undefined;
  readonly bytes: BytesBySource;
  readonly missingBytes: number;
}

export class MemberSums {
  readonly places = { fetching: 0, staged: 0, activating: 0, active: 0, failed: 0, reverted: 0 };
  readonly bytes = { relay: 0, peer: 0, local: 0 };
  /** By wave. */
  readonly membersOf: number[] = [];
  readonly healthyOf: number[] = [];
  /** By agent, who failed first first. */
  readonly failing = new Map<string, FailingMember>();
  away = 0;
  early = 0;
  toRevert = 0;
  missingBytes = 0;
  readonly #shares = new Map<string, MemberShare>();

  /** A machine adds this from now on, instead of what it added before; undefined: it is gone. */
  count(agentId: string, share: MemberShare | undefined): void {
    const before = this.#shares.get(agentId);
    if (before !== undefined) this.#add(before, -1);
    if (share === undefined) this.#shares.delete(agentId);
    else {
      this.#shares.set(agentId, share);
      this.#add(share, 1);
    }
    if (share?.failing === undefined) this.failing.delete(agentId);
    else this.failing.set(agentId, share.failing);
  }

  #add(share: MemberShare, times: 1 | -1): void {
    const { place, isAway, isEarly, mustRevert, wave, bytes, missingBytes } = share;
    this.places[place] += times;
    if (isAway) this.away += times;
    if (isEarly) this.early += times;
    if (mustRevert) this.toRevert += times;
    this.missingBytes += times * missingBytes;
    this.bytes.relay += times * bytes.relay;
    this.bytes.peer += times * bytes.peer;
    this.bytes.local += times * bytes.local;
    if (wave === undefined) return;
    this.membersOf[wave] = (this.membersOf[wave] ?? 0) + times;
    if (place === "active") this.healthyOf[wave] = (this.healthyOf[wave] ?? 0) + times;
  }
}
