// The past as `millrace history` shows it: a table, and as JSON.
import type { HistoryItem } from "../../proto/gen/millrace/v1/history.ts";
import { formatDuration } from "../../runtime/recipe/duration.ts";
import { buildStateName, rolloutStateName } from "../remote/states.ts";
import { buildRecord } from "./build-view.ts";
import { formatAge, formatTable, shortId } from "./format.ts";
import { rolloutRecord } from "./rollout-view.ts";

/** A table of what has ended; `nowMs` is the time of day. */
export function historyTable(items: readonly HistoryItem[], nowMs: number): string {
  if (items.length === 0) return "nothing has ended";
  const rows = items.map((one) => {
    const { state, subject } = ended(one);
    const { id, service, sha, createdAtMs, endedAtMs, reason } = subject;
    return [
      id,
      service === "" ? "-" : service,
      shortId(sha),
      reason === "" ? state : `${state} (${reason})`,
      formatAge(createdAtMs, nowMs),
      formatDuration(Math.max(0, endedAtMs - createdAtMs)),
      one.archived ? "archive" : "store",
    ];
  });
  const head = ["BUILD OR ROLLOUT", "SERVICE", "SHA", "STATE", "AGE", "TOOK", "KEPT IN"];
  return formatTable(head, rows);
}

/** One of them for --json: as `builds` or `rollouts` have it, with its kind and whether it is archived. */
export function historyRecord(one: HistoryItem): Readonly<Record<string, unknown>> {
  const { archived } = one;
  if (one.item?.$case === "build") {
    return { kind: "build", archived, ...buildRecord(one.item.build) };
  }
  if (one.item?.$case === "rollout") {
    return { kind: "rollout", archived, ...rolloutRecord(one.item.rollout) };
  }
  throw new Error("a part of history is neither a build nor a rollout");
}

function ended({ item }: HistoryItem) {
  if (item?.$case === "build") {
    return { subject: item.build, state: buildStateName(item.build.state) };
  }
  if (item?.$case === "rollout") {
    return { subject: item.rollout, state: rolloutStateName(item.rollout.state) };
  }
  throw new Error("a part of history is neither a build nor a rollout");
}
