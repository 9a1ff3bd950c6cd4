// Which release is being brought to disk, and when that is tried again after it failed.
import type { Instant } from "../machine.ts";
import { Attempts, STAGING_BACKOFF } from "./agent-backoff.ts";
import type { Effect } from "./agent-facts.ts";
import type { ReleaseId } from "./runnable.ts";

export type StagingPhase = "fetch" | "stage";

/** A release and the rollout that brings it. */
export interface Wanted {
  readonly release: ReleaseId;
  readonly rollout: string;
}

/** At most one release at a time. */
export class Staging {
  readonly #attempts = new Attempts(STAGING_BACKOFF);
  #current: { readonly release: ReleaseId; phase: StagingPhase } | undefined;
  #error = "";

  get phase(): StagingPhase | undefined {
    return this.#current?.phase;
  }

  /** Why the last attempt failed; empty: it did not. */
  get error(): string {
    return this.#error;
  }

  get deadline(): Instant {
    return this.#attempts.retryAt;
  }

  /** Has this release staged and no other; does not begin where it may not, or not yet. */
  want(now: Instant, { release, rollout }: Wanted, mayBegin: boolean, effects: Effect[]): void {
    if (this.#current?.release === release) return;
    this.giveUp(effects);
    if (!mayBegin || this.#attempts.mustWait(now)) return;
    this.#current = { release, phase: "fetch" };
    effects.push({ kind: "stage", release, rollout });
  }

  giveUp(effects: Effect[]): void {
    if (this.#current === undefined) return;
    effects.push({ kind: "unstage", release: this.#current.release });
    this.#current = undefined;
  }

  progressed(release: ReleaseId, phase: StagingPhase): void {
    if (this.#current?.release === release) this.#current.phase = phase;
  }

  /** False where the release is not the one that is wanted any more. */
  ended(now: Instant, release: ReleaseId, error: string): boolean {
    if (this.#current?.release !== release) return false;
    this.#current = undefined;
    this.#error = error;
    if (error === "") this.#attempts.reset();
    else this.#attempts.failed(now);
    return true;
  }

  /** Ends a wait that is over. */
  wake(now: Instant): void {
    this.#attempts.mustWait(now);
  }

  /** Something else is wanted, or wanted anew: earlier failures do not count. */
  reset(): void {
    this.#error = "";
    this.#attempts.reset();
  }
}
