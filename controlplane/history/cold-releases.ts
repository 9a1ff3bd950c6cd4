// Releases that are to leave the store: beyond the newest of their service, run nowhere and tried by no open
// rollout, their build archived. What is decided here about a service holds only while its rollouts and
// assignments stand as they were read.
import { horizonOf, RELEASES_KEPT, releasesLetGo } from "../../core/history/archive-plan.ts";
import type { Release } from "../../proto/gen/millrace/v1/release_format.ts";
import { type Compare, type Entry, type Store, walk } from "../../runtime/store/store.ts";
import { buildKey, statePrefix } from "../builds/build-keys.ts";
import {
  idEntry,
  parseRelease,
  RELEASES_OF_PREFIX,
  releaseKey,
  removeOperations,
} from "../builds/release-index.ts";
import { assignmentsKey, parseAssignments } from "../rollouts/assignment-list.ts";
import { compareOf, standing } from "../rollouts/new-rollout.ts";
import { activeKey, parseRollout, rolloutKey, WAITING_PREFIX } from "../rollouts/rollout-record.ts";
import { lineOf } from "./archive.ts";
import { type ColdRow, crowdedBefore } from "./cold-row.ts";

interface NamedRelease {
  /** Key of its row. */
  readonly name: string;
  readonly madeAtMs: number;
}

/** Reads them one by one. */
export async function* coldReleases(
  store: Store,
  nowMs: number,
  hotMs: number,
): AsyncGenerator<ColdRow, void, void> {
  const crowdedMs = await crowdedBefore(store, statePrefix("succeeded"));
  const horizon = horizonOf(nowMs, hotMs, crowdedMs);
  for await (const { service, oldestFirst } of byService(store)) {
    if (oldestFirst.length <= RELEASES_KEPT) continue;
    const { used, compares } = await usedBy(store, service);
    const newestFirst = oldestFirst.toReversed();
    for (const { name } of releasesLetGo(newestFirst, used, RELEASES_KEPT, horizon).reverse()) {
      const entry = await store.get(name);
      if (entry === undefined) continue;
      const release = parseRelease(entry);
      // While its build is at hand, who asks for that again may have it rolled out.
      if ((await store.get(buildKey(release.build))) !== undefined) continue;
      yield await coldRelease(store, release, entry, compares);
    }
  }
}

async function* byService(
  store: Store,
): AsyncGenerator<{ readonly service: string; readonly oldestFirst: NamedRelease[] }, void, void> {
  let service = "";
  let oldestFirst: NamedRelease[] = [];
  for await (const { key, value } of walk(store, RELEASES_OF_PREFIX)) {
    const [its = "", place = ""] = key.slice(RELEASES_OF_PREFIX.length).split("/");
    if (its !== service) {
      yield { service, oldestFirst };
      service = its;
      oldestFirst = [];
    }
    const name = new TextDecoder().decode(value);
    oldestFirst.push({ name, madeAtMs: Number.parseInt(place, 10) });
  }
  yield { service, oldestFirst };
}

/** Releases that a service runs, goes back to or is being brought, and what holds while that is so. */
async function usedBy(
  store: Store,
  service: string,
): Promise<{ readonly used: Set<string>; readonly compares: readonly Compare[] }> {
  const { active, assignments } = await standing(store, service);
  const releases: (Release | undefined)[] = [];
  for (const { release, fallback, before } of parseAssignments(assignments)) {
    releases.push(release, fallback, before?.entry.release, before?.entry.fallback);
  }
  const waiting = await store.range({ prefix: `${WAITING_PREFIX}${service}/` });
  for (const { value } of [active, ...waiting.entries].filter((entry) => entry !== undefined)) {
    const entry = await store.get(rolloutKey(new TextDecoder().decode(value)));
    const record = entry && parseRollout(entry);
    releases.push(record?.release, record?.previous);
  }
  const used = new Set(releases.filter((one) => one !== undefined).map(releaseKey));
  const compares = [
    compareOf(assignmentsKey(service), assignments),
    compareOf(activeKey(service), active),
  ];
  return { used, compares };
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
