// The leader's account of permits in one wave: what each relay may hand out, what came of it, what is
// still out. Quotas only rise within (epoch, wave) while they live. A relay keeps on disk what it handed out, but
// forgets what it could have: a quota that it forgot, or let run out, or has of an older leader, or closed, is
// worth what was handed out of it. Until it has said so the whole quota counts as spent.
import type { Instant } from "../machine.ts";
import type { LedgerRow, SettledPermits } from "./rollout-row.ts";
import type { WaveTally } from "./tally.ts";

/** Permits not begun in this time run out: two reports, sending, and a busy machine. */
export const PERMIT_TTL_MS = 10_000;
/**
 * A quota counts as run out only so long after that, for the time it was on its way: a relay leaves a leader of whom it
 * has heard nothing for 6 s, and its clock may be slow by a sixth, which is 1.7 s of its time to live.
 */
const TTL_SLACK_MS = 8_000;
/** A silent relay's permits count as failed so long after their last possible answer. */
const SILENCE_MS = 20_000;
/** Permits ahead of each that may be out: one that takes longer than a second is not waited for by the next. */
const AHEAD = 8;

interface Ledger {
  readonly relay: string;
  readonly epoch: number;
  boot: string;
  quota: number;
  /** Of the quota, so many may be out or have failed at any time; the relay sees to it. */
  together: number;
  granted: number;
  succeeded: number;
  failed: number;
  returned: number;
  grantedAt: Instant;
  heardAt: Instant;
}

/** Staged machines of a wave that wait for a permit at a relay. */
export interface Want {
  readonly relay: string;
  readonly boot: string;
  readonly machines: number;
}

export interface Grant {
  readonly relay: string;
  /** Cumulative in (epoch, wave). */
  readonly quota: number;
  /** So many of them may be out or have failed at any time. */
  readonly together: number;
}

/** What may be granted: `slots` more that are out at once, `machines` more in all. */
export interface Room {
  readonly slots: number;
  readonly machines: number;
}

/** Where a wave's permits stand; all but `held` add up to the machines permitted. */
export interface PermitCount {
  readonly succeeded: number;
  /** Answered failed, or not in time. */
  readonly failed: number;
  /** Not answered yet, quota that may still be handed out among them. */
  readonly out: number;
  /** So many of these may be out at the same time, at worst. */
  readonly held: number;
}

export class PermitBook {
  readonly #epoch: number;
  readonly #answerMs: number;
  #ledgers: Ledger[];
  #settled: SettledPermits;

  constructor(
    epoch: number,
    answerMs: number,
    from: { ledgers: readonly LedgerRow[]; settled: SettledPermits; at: Instant },
  ) {
    this.#epoch = epoch;
    this.#answerMs = answerMs;
    this.#settled = from.settled;
    this.#ledgers = from.ledgers.map((row) => newLedger(row, from.at));
  }

  /** For the row. */
  get ledgers(): readonly LedgerRow[] {
    return this.#ledgers.map(({ relay, boot, epoch, quota, together }) => ({
      relay,
      boot,
      epoch,
      quota,
      together,
    }));
  }

  get settled(): SettledPermits {
    return this.#settled;
  }

  /**
   * A relay that follows this leader said what came of its permits; one that `isClosed` hands out no more of its quota,
   * also of what is on its way to it.
   */
  heard(
    at: Instant,
    { relay, boot, isClosed }: { relay: string; boot: string; isClosed: boolean },
    tally: WaveTally,
  ): void {
    for (const ledger of this.#ledgers) {
      if (ledger.relay !== relay) continue;
      // Counts of another epoch mean that nothing was handed out in this one.
      const isSame = tally.epoch === ledger.epoch;
      ledger.granted = isSame ? tally.granted : 0;
      ledger.succeeded = isSame ? tally.succeeded : 0;
      ledger.failed = isSame ? tally.failed : 0;
      ledger.returned = isSame ? tally.returned : 0;
      const isForgotten = ledger.boot !== boot || ledger.epoch !== this.#epoch;
      // What it did not hand out in time it cannot hand out any more, by its own later word.
      const hasRunOut = at >= ledger.grantedAt + PERMIT_TTL_MS + TTL_SLACK_MS;
      if (isForgotten || isClosed || hasRunOut) ledger.quota = ledger.granted;
      ledger.boot = boot;
      ledger.heardAt = at;
    }
    this.#settleOld();
  }

  /** `active`: machines healthy since the wave began; those beyond the answers speak for silent relays. */
  count(at: Instant, active: number): PermitCount {
    let { succeeded, failed } = this.#settled;
    let out = 0;
    let held = 0;
    let late = 0;
    let lateHeld = 0;
    for (const ledger of this.#ledgers) {
      succeeded += ledger.succeeded;
      failed += ledger.failed;
      const open = openPermits(ledger);
      if (this.#isLate(ledger, at)) {
        late += open;
        lateHeld += heldPermits(ledger);
      } else {
        out += open;
        held += heldPermits(ledger);
      }
    }
    const explained = Math.min(late, Math.max(0, active - succeeded));
    // Those of the others that were never handed out are dead, and nobody's failure.
    const lost = Math.min(late - explained, lateHeld);
    return { succeeded: succeeded + explained, failed: failed + lost, out, held };
  }

  /** Gives out permits as far as there is room, to those first who got none for the longest time. */
  allot(at: Instant, wants: readonly Want[], room: Room): Grant[] {
    const grants: Grant[] = [];
    let { slots, machines } = room;
    const since = ({ relay }: Want): Instant => this.#of(relay)?.grantedAt ?? -1;
    const inTurn = wants.toSorted((a, b) => since(a) - since(b));
    for (const [index, want] of inTurn.entries()) {
      const share = Math.ceil(slots / (inTurn.length - index));
      const grant = this.#grant(at, want, { slots: share, machines });
      if (grant === undefined) continue;
      slots -= grant.slots;
      machines -= grant.machines;
      grants.push({ relay: want.relay, quota: grant.quota, together: grant.together });
    }
    return grants;
  }

  /** The grant, and how much of the room it takes. */
  #grant(at: Instant, want: Want, room: Room): (Omit<Grant, "relay"> & Room) | undefined {
    const known = this.#of(want.relay);
    // A relay that has not said what became of an older quota, or of one before its restart, waits.
    if (known !== undefined && (known.epoch !== this.#epoch || known.boot !== want.boot)) return;
    const ledger = known ?? newLedger({ ...want, epoch: this.#epoch, quota: 0, together: 0 }, at);
    const held = heldPermits(ledger);
    const available = quotaLeft(ledger);
    const slots = Math.max(0, Math.min(room.slots, busyPermits(ledger) + want.machines - held));
    const ahead = Math.min(want.machines, AHEAD * (held + slots));
    const more = Math.max(0, Math.min(ahead - available, room.machines));
    const isOld = available > 0 && at >= ledger.grantedAt + PERMIT_TTL_MS / 2;
    if (more === 0 && (available === 0 || slots === 0) && !isOld) return;
    // Of what too many failures have ended some lives again with a higher quota.
    const quota = Math.max(ledger.quota, ledger.granted + available + more);
    const machines = quota - ledger.granted - available;
    if (machines > room.machines) return;
    const together = ledger.failed + held + slots;
    if (known === undefined) this.#ledgers.push(ledger);
    // A relay that hears the same quota again takes the greater number.
    ledger.together = quota > ledger.quota ? together : Math.max(ledger.together, together);
    ledger.quota = quota;
    ledger.grantedAt = at;
    return { quota, together: ledger.together, slots, machines };
  }

  #of(relay: string): Ledger | undefined {
    return this.#ledgers.find((ledger) => ledger.relay === relay);
  }

  #isLate(ledger: Ledger, at: Instant): boolean {
    const last = Math.max(ledger.heardAt, ledger.grantedAt);
    return at >= last + PERMIT_TTL_MS + this.#answerMs + SILENCE_MS;
  }

  #settleOld(): void {
    const isDone = (ledger: Ledger): boolean =>
      ledger.epoch !== this.#epoch && openPermits(ledger) === 0;
    for (const { succeeded, failed } of this.#ledgers.filter(isDone)) {
      this.#settled = {
        succeeded: this.#settled.succeeded + succeeded,
        failed: this.#settled.failed + failed,
      };
    }
    this.#ledgers = this.#ledgers.filter((ledger) => !isDone(ledger));
  }
}

function newLedger({ relay, boot, epoch, quota, together }: LedgerRow, at: Instant): Ledger {
  const counts = { granted: 0, succeeded: 0, failed: 0, returned: 0 };
  return { relay, boot, epoch, quota, together, ...counts, grantedAt: at, heardAt: at };
}

/** Permits handed out and not answered, by the relay's last word. */
function busyPermits({ granted, succeeded, failed, returned }: Ledger): number {
  return Math.max(0, granted - succeeded - failed - returned);
}

/** What may still be handed out of the quota: nothing where so many have failed that all places are taken. */
function quotaLeft({ quota, together, granted, failed }: Ledger): number {
  return failed >= together ? 0 : Math.max(0, quota - granted);
}

/** Permits that are out, or may still be handed out. */
function openPermits(ledger: Ledger): number {
  return busyPermits(ledger) + quotaLeft(ledger);
}

/** Of these, how many can be out at once. */
function heldPermits(ledger: Ledger): number {
  const most = Math.max(busyPermits(ledger), ledger.together - ledger.failed);
  return Math.min(openPermits(ledger), most);
}
