// What an agent must remember of one service over a crash. Written whole, before the effects that
// rely on it; everything else is found again on disk.
import type { Findings, ReleaseId, Runnable } from "./runnable.ts";

/** Committed releases remembered, newest first; more than anyone keeps on disk. */
const HISTORY_MAX = 8;

/** A switch under way. `forward` goes to `to`; `undo` goes back to `from` after a failure. */
export interface Switching {
  readonly direction: "forward" | "undo";
  readonly from: Runnable | undefined;
  readonly to: Runnable | undefined;
  readonly rollout: string;
  /** Empty: none was needed. */
  readonly permit: string;
  /** True where `to` is what ran before the rollout. */
  readonly isRollback: boolean;
  /** Why it is being undone. */
  readonly error: string;
}

/** How the last attempt under a rollout ended. */
export interface Outcome {
  readonly kind: "active" | "failed" | "reverted";
  readonly rollout: string;
  readonly release: string;
  readonly permit: string;
  readonly error: string;
  /** How often in a row it has failed so; absent: once. */
  readonly tries?: number;
}

export interface Journal {
  /** Highest (epoch, revision) followed; lower ones are refused. */
  readonly epoch: number;
  readonly revision: number;
  /** What was last switched to and found healthy. */
  readonly current: Runnable | undefined;
  /** What to go back to. */
  readonly lastGood: Runnable | undefined;
  /** Rollout under which `current` was switched to; empty: none, or taken back. */
  readonly switchedUnder: string;
  readonly switching: Switching | undefined;
  readonly outcome: Outcome | undefined;
  readonly history: readonly ReleaseId[];
}

/** The journal of a service that was never run here. */
export const EMPTY_JOURNAL: Journal = {
  epoch: 0,
  revision: 0,
  current: undefined,
  lastGood: undefined,
  switchedUnder: "",
  switching: undefined,
  outcome: undefined,
  history: [],
};

/** Whether orders are newer than what was followed (above 0), the same (0), or of old. */
export function orderOf(orders: Pick<Journal, "epoch" | "revision">, journal: Journal): number {
  return orders.epoch - journal.epoch || orders.revision - journal.revision;
}

/** The journal once newer orders are followed. */
export function following(
  journal: Journal,
  { epoch, revision }: Pick<Journal, "epoch" | "revision">,
): Journal {
  return { ...journal, epoch, revision };
}

/** The journal after a switch has been completed. */
export function switched(journal: Journal, done: Switching): Journal {
  const { from, to, rollout, permit, isRollback } = done;
  const release = to?.release ?? "";
  return {
    ...journal,
    current: to,
    lastGood: isRollback ? undefined : (from ?? journal.lastGood),
    switchedUnder: isRollback ? "" : rollout,
    switching: undefined,
    outcome: {
      kind: isRollback ? "reverted" : "active",
      rollout,
      release,
      permit,
      error: "",
    },
    history:
      to === undefined
        ? journal.history
        : [release, ...journal.history.filter((other) => other !== release)].slice(0, HISTORY_MAX),
  };
}

/** What is known of the disk and of processes. */
type Known = Pick<Findings, "onDisk" | "running">;

/** The journal after a switch has been undone; without an error, the rollout was taken back. */
export function undone(journal: Journal, done: Switching, known: Known): Journal {
  const { rollout, permit, error } = done;
  const release = done.to?.release ?? "";
  const outcome =
    error === ""
      ? ({ kind: "reverted", rollout, release, permit, error } as const)
      : failedOutcome(journal, { rollout, release, permit, error });
  return withoutLost({ ...journal, switching: undefined, outcome }, known);
}

/** The outcome of an attempt that failed, which counts those of the same kind before it. */
export function failedOutcome(
  { outcome: before }: Journal,
  failed: Pick<Outcome, "rollout" | "release" | "permit" | "error">,
): Outcome {
  const isAgain =
    before?.kind === "failed" &&
    before.rollout === failed.rollout &&
    before.release === failed.release;
  return { kind: "failed", ...failed, ...(isAgain && { tries: (before.tries ?? 1) + 1 }) };
}

/** Without a current release that somebody deleted; the one before it may be there to run instead. */
export function withoutLost(journal: Journal, { onDisk, running }: Known): Journal {
  const { current, lastGood, switching } = journal;
  if (current === undefined || switching !== undefined) return journal;
  if (onDisk.includes(current.release) || running.includes(current.release)) return journal;
  const isLastGoodThere = lastGood !== undefined && onDisk.includes(lastGood.release);
  return { ...journal, current: isLastGoodThere ? lastGood : undefined, lastGood: undefined };
}

/** Releases that stay on disk: what runs, what to go back to, what is coming, and some before but `evicted`. */
export function releasesToKeep(
  journal: Journal,
  coming: Runnable | undefined,
  keepCount: number,
  evicted: readonly ReleaseId[],
): Set<ReleaseId> {
  const pinned = [journal.current, journal.lastGood, coming];
  const keep = new Set(pinned.flatMap((runnable) => runnable?.release ?? []));
  for (const release of journal.history.slice(0, keepCount)) {
    if (!evicted.includes(release)) keep.add(release);
  }
  return keep;
}
