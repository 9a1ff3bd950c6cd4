// Which processes should be up, and when one that died is started again. It starts nothing itself.
import type { Instant } from "../machine.ts";
import { backoffMs, RESTART_BACKOFF, UP_MS } from "./agent-backoff.ts";
import type { ReleaseId } from "./runnable.ts";

interface Upkeep {
  failures: number;
  startedAt: Instant;
  /** Infinity: it is up, or being started. */
  restartAt: Instant;
}

/** At most two at any time: the old release and the new one. */
export class Restarts {
  readonly #wanted = new Map<ReleaseId, Upkeep>();

  has(release: ReleaseId): boolean {
    return this.#wanted.has(release);
  }

  /** Those that are up, or being started. */
  get up(): ReleaseId[] {
    const wanted = [...this.#wanted];
    return wanted.flatMap(([release, { restartAt }]) =>
      restartAt === Number.POSITIVE_INFINITY ? release : [],
    );
  }

  /** From now on the process should be up; somebody is starting it, or it is up already. */
  want(now: Instant, release: ReleaseId): void {
    if (this.#wanted.has(release)) return;
    this.#wanted.set(release, { failures: 0, startedAt: now, restartAt: Number.POSITIVE_INFINITY });
  }

  drop(release: ReleaseId): void {
    this.#wanted.delete(release);
  }

  /** It died, or did not start: it is due again after a wait that grows with each failure in a row. */
  died(now: Instant, release: ReleaseId): void {
    const upkeep = this.#wanted.get(release);
    if (upkeep === undefined) return;
    if (now - upkeep.startedAt >= UP_MS) upkeep.failures = 0;
    upkeep.failures += 1;
    upkeep.restartAt = now + backoffMs(RESTART_BACKOFF, upkeep.failures);
  }

  /** Those that are to be started now. */
  takeDue(now: Instant): ReleaseId[] {
    const due: ReleaseId[] = [];
    for (const [release, upkeep] of this.#wanted) {
      if (upkeep.restartAt > now) continue;
      upkeep.startedAt = now;
      upkeep.restartAt = Number.POSITIVE_INFINITY;
      due.push(release);
    }
    return due;
  }

  get deadline(): Instant {
    let earliest = Number.POSITIVE_INFINITY;
    for (const { restartAt } of this.#wanted.values()) earliest = Math.min(earliest, restartAt);
    return earliest;
  }
}
