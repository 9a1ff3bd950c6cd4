// Releases that are to leave the store: those that are not kept any more, and whose build is archived. Which are kept,
// core/release/kept-releases.ts says; what it says of a service holds only while its rollouts and assignments stand as
// they were read.
import { horizonOf, isCold } from "../../core/history/archive-plan.ts";
import { activeKey } from "../../core/rollout/service-turns.ts";
import type { Release } from "../../proto/gen/millrace/v1/release_format.ts";
import type { Compare, Entry, Store } from "../../runtime/store/store.ts";
import { buildKey, statePrefix } from "../builds/build-keys.ts";
import { idEntry, parseRelease, releaseKey, removeOperations } from "../builds/release-index.ts";
import type { KeptNow } from "../garbage/kept-now.ts";
import { assignmentsKey } from "../rollouts/assignment-list.ts";
import { compareOf, standing } from "../rollouts/new-rollout.ts";

import { lineOf } from "./archive.ts";
import { type ColdRow, crowdedBefore } from "./cold-row.ts";

/** Reads them one by one, the oldest first; `now` says what is kept. */
export async function* coldReleases(
  store: Store,
  nowMs: number,
  hotMs: number,
  now: KeptNow,
): AsyncGenerator<ColdRow, void, void> {
  const crowdedMs = await crowdedBefore(store, statePrefix("succeeded"));
  const horizon = horizonOf(nowMs, hotMs, crowdedMs);
  const { releases, revision } = now.facts;
  for (const release of releases.toSorted((a, b) => a.createdAtMs - b.createdAtMs)) {
    const { build, service, createdAtMs } = release;
    if (now.kept.has(build) || !isCold({ createdAtMs, endedAtMs: createdAtMs }, horizon)) continue;
    // While its build is at hand, who asks for that again may have it rolled out.
    if ((await store.get(buildKey(build))) !== undefined) continue;
    const stands = await standing(store, service);
    if (stands.revision > revision) continue;
    const entry = await store.get(releaseKey(release));
    if (entry === undefined) continue;
    yield await coldRelease(store, parseRelease(entry), entry, [
      compareOf(assignmentsKey(service), stands.assignments),
      compareOf(activeKey(service), stands.active),
    ]);
  }
}

async function coldRelease(
  store: Store,
  release: Release,
  entry: Entry,
  compares: readonly Compare[],
): Promise<ColdRow> {
  const { createdAtMs, build: id } = release;
  const line = lineOf(
    { id, createdAtMs },
    entry.modRevision,
    new TextDecoder().decode(entry.value),
  );
  const newestOfId = await store.get(idEntry(release));
  return {
    ...{ id, createdAtMs, endedAtMs: createdAtMs, line },
    bytes: Buffer.byteLength(line),
    compares: [
      { key: entry.key, modRevision: entry.modRevision },
      compareOf(idEntry(release), newestOfId),
      ...compares,
    ],
    operations: removeOperations(release, newestOfId),
  };
}
