// The steps of a switch from one release to another, and of taking a failed one back, as data. Each
// step changes nothing where it is done already, so that after a crash all are taken again from the
// first. Ordered so that at every instant the old or the new release is in place and, but for a fixed
// port that only one can hold, running.

import type { Switching } from "./agent-journal.ts";
import type { ReleaseId, Runnable } from "./runnable.ts";

export type Step =
  | { readonly do: "start"; readonly release: ReleaseId }
  /** Stops `from`, then starts `to`; goes through even where the agent dies in the middle. */
  | { readonly do: "hand-over"; readonly from: ReleaseId; readonly to: ReleaseId }
  /** Waits for the first healthy answer. */
  | { readonly do: "check"; readonly release: ReleaseId }
  /** Sets `current`; undefined removes it. */
  | { readonly do: "point"; readonly release: ReleaseId | undefined }
  | { readonly do: "run-hook"; readonly release: ReleaseId }
  /** Lets the process drain, then ends it. */
  | { readonly do: "stop"; readonly release: ReleaseId };

/** The steps of a switch in its direction. */
export function stepsOf(switching: Switching): readonly Step[] {
  const { from, to } = switching;
  return switching.direction === "forward" ? forward(from, to) : undo(from, to);
}

/** Whether the two cannot run at once because they hold the same port. */
export function sharePort(a: Runnable | undefined, b: Runnable | undefined): boolean {
  if (a?.way.kind !== "process" || b?.way.kind !== "process") return false;
  return a.way.port !== 0 && a.way.port === b.way.port && a.release !== b.release;
}

function forward(from: Runnable | undefined, to: Runnable | undefined): readonly Step[] {
  if (to === undefined) return [...stop(from), { do: "point", release: undefined }];
  const { release, way } = to;
  const check: Step = { do: "check", release };
  const point: Step = { do: "point", release };
  switch (way.kind) {
    case "process":
      if (from !== undefined && sharePort(from, to)) {
        return [{ do: "hand-over", from: from.release, to: release }, check, point];
      }
      return [{ do: "start", release }, check, point, ...stop(from)];
    case "hook":
      return [point, { do: "run-hook", release }, check, ...stop(from)];
    case "files":
      return [point, check, ...stop(from)];
    default:
      return way satisfies never;
  }
}

function undo(good: Runnable | undefined, bad: Runnable | undefined): readonly Step[] {
  if (good === undefined) return [...stop(bad), { do: "point", release: undefined }];
  const { release, way } = good;
  const check: Step = { do: "check", release };
  const point: Step = { do: "point", release };
  switch (way.kind) {
    case "process":
      if (bad !== undefined && sharePort(good, bad)) {
        return [{ do: "hand-over", from: bad.release, to: release }, point, check];
      }
      return [{ do: "start", release }, point, ...stop(bad), check];
    case "hook":
      return [point, { do: "run-hook", release }, ...stop(bad), check];
    case "files":
      return [point, ...stop(bad)];
    default:
      return way satisfies never;
  }
}

function stop(release: Runnable | undefined): readonly Step[] {
  return release?.way.kind === "process" ? [{ do: "stop", release: release.release }] : [];
}
