// The leader's account of permits in one wave: what each relay may hand out, what came of it, what is
// still out. Quotas only rise within (epoch, wave). A relay keeps on disk what it handed out, but
// forgets what it could have: a quota that it forgot, or let run out, or has of an older leader, is
// worth what was handed out of it. Until it has said so the whole quota counts as spent.
import type { Instant } from "../machine.ts";
import type { LedgerRow, SettledPermits } from "./rollout-row.ts";
import type { WaveTally } from "./tally.ts";

/** Permits not begun in this time run out: two reports, sending, and a busy machine. */
export const PERMIT_TTL_MS = 10_000;
/** A quota counts as run out only so long after that, for the time it was on its way. */
const TTL_SLACK_MS = 5_000;
/** A silent relay's permits count as failed so long after their last possible answer. */
const SILENCE_MS = 20_000;

interface Ledger {
  readonly relay: string;
  readonly epoch: number;
  boot: string;
  quota: number;
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
}

/** Where a wave's permits stand; the three add up to the machines permitted. */
export interface PermitCount {
  readonly succeeded: number;
  /** Answered failed, or not in time. */
  readonly failed: number;
  /** Not answered yet, quota that may still be handed out among them. */
  readonly out: number;
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
    return this.#ledgers.map(({ relay, boot, epoch, quota }) => ({ relay, boot, epoch, quota }));
  }

  get settled(): SettledPermits {
    return this.#settled;
  }

  /** A relay that follows this leader said what came of its permits. */
  heard(at: Instant, relay: string, boot: string, tally: WaveTally): void {
    for (const ledger of this.#ledgers) {
      if (ledger.relay !== relay) continue;
      // Counts of another epoch mean that nothing was handed out in this one.
      const isSame = tally.epoch === ledger.epoch;
      ledger.granted = isSame ? tally.granted : 0;
      ledger.succeeded = isSame ? tally.succeeded : 0;
      ledger.failed = isSame ? tally.failed : 0;
      ledger.returned = isSame ? tally.returned : 0;
      if (ledger.boot !== boot || ledger.epoch !== this.#epoch) ledger.quota = ledger.granted;
      ledger.boot = boot;
      ledger.heardAt = at;
    }
    this.#settleOld(at);
  }

  /** `active`: machines healthy since the wave began; those beyond the answers speak for silent relays. */
  count(at: Instant, active: number): PermitCount {
    let { succeeded, failed } = this.#settled;
    let out = 0;
    let late = 0;
    for (const ledger of this.#ledgers) {
      succeeded += ledger.succeeded;
      failed += ledger.failed;
      const open = openPermits(ledger, at);
      if (this.#isLate(ledger, at)) late += open;
      else out += open;
    }
    const explained = Math.min(late, Math.max(0, active - succeeded));
    return { succeeded: succeeded + explained, failed: failed + late - explained, out };
  }

  /** Gives out at most `room` permits, to those first who got none for the longest time. */
  allot(at: Instant, wants: readonly Want[], room: number): Grant[] {
    const grants: Grant[] = [];
    let left = room;
    const since = ({ relay }: Want): Instant => this.#of(relay)?.grantedAt ?? -1;
    for (const want of wants.toSorted((a, b) => since(a) - since(b))) {
      const grant = left > 0 ? this.#grant(at, want, left) : undefined;
      if (grant === undefined) continue;
      left -= grant.used;
      grants.push({ relay: want.relay, quota: grant.quota });
    }
    return grants;
  }

  #grant(
    at: Instant,
    want: Want,
    room: number,
  ): { readonly quota: number; readonly used: number } | undefined {
    const known = this.#of(want.relay);
    // A relay that has not said what became of an older quota, or of one before its restart, waits.
    if (known !== undefined && (known.epoch !== this.#epoch || known.boot !== want.boot)) return;
    const ledger = known ?? newLedger({ ...want, epoch: this.#epoch, quota: 0 }, at);
    const available = hasRunOut(ledger, at) ? 0 : Math.max(0, ledger.quota - ledger.granted);
    const more = Math.min(want.machines - available, room);
    if (more <= 0) return;
    // What has run out lives again with a higher quota.
    const quota = Math.max(ledger.quota, ledger.granted + available + more);
    const used = quota - ledger.granted - available;
    if (used > room) return;
    if (known === undefined) this.#ledgers.push(ledger);
    ledger.quota = quota;
    ledger.grantedAt = at;
    return { quota, used };
  }

  #of(relay: string): Ledger | undefined {
    return this.#ledgers.find((ledger) => ledger.relay === relay);
  }

  #isLate(ledger: Ledger, at: Instant): boolean {
    const last = Math.max(ledger.heardAt, ledger.grantedAt);
    return at >= last + PERMIT_TTL_MS + this.#answerMs + SILENCE_MS;
  }

  #settleOld(at: Instant): void {
    const isDone = (ledger: Ledger): boolean =>
      ledger.epoch !== this.#epoch && openPermits(ledger, at) === 0;
    for (const { succeeded, failed } of this.#ledgers.filter(isDone)) {
      this.#settled = {
        succeeded: this.#settled.succeeded + succeeded,
        failed: this.#settled.failed + failed,
      };
    }
    this.#ledgers = this.#ledgers.filter((ledger) => !isDone(ledger));
  }
}

function newLedger({ relay, boot, epoch, quota }: LedgerRow, at: Instant): Ledger {
  const counts = { granted: 0, succeeded: 0, failed: 0, returned: 0 };
  return { relay, boot, epoch, quota, ...counts, grantedAt: at, heardAt: at };
}

/** Whether what the relay did not hand out cannot be handed out any more, by its own later word. */
function hasRunOut(ledger: Ledger, at: Instant): boolean {
  const dead = ledger.grantedAt + PERMIT_TTL_MS + TTL_SLACK_MS;
  return at >= dead && ledger.heardAt >= dead;
}

function openPermits(ledger: Ledger, at: Instant): number {
  const spent = hasRunOut(ledger, at) ? ledger.granted : Math.max(ledger.quota, ledger.granted);
  return Math.max(0, spent - ledger.succeeded - ledger.failed - ledger.returned);
}
