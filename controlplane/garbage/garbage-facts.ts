// What the store says of releases and packs, as of one revision: which releases there are, which of them and which
// packs rollouts, assignments and builds name, and how packs are marked. It reads; what follows is decided in
// core/release/kept-releases.ts and pack-verdict.ts.
import { packOf } from "../../core/builds/build-row.ts";
import type { PackedRelease } from "../../core/release/kept-releases.ts";
import type { PackMark } from "../../core/release/pack-verdict.ts";
import { ACTIVE_PREFIX, WAITING_PREFIX } from "../../core/rollout/service-turns.ts";
import { Release } from "../../proto/gen/millrace/v1/release_format.ts";
import { type Entry, type Store, scan } from "../../runtime/store/store.ts";
import { buildKey, idOfIndexKey, statePrefix } from "../builds/build-keys.ts";
import { decodeBuild } from "../builds/build-row-json.ts";
import { RELEASES } from "../builds/release-index.ts";
import {
  type AssignmentEntry,
  assignmentsKey,
  parseAssignments,
  SERVICES_PREFIX,
} from "../rollouts/assignment-list.ts";
import { parseRollout, rolloutKey } from "../rollouts/rollout-record.ts";
import { DROPPED, MARKS, packNames, packOfMark, parseMark } from "./pack-mark-row.ts";

/** A mark, and the revision at which a change of it is compared. */
export interface StoredMark {
  readonly mark: PackMark;
  readonly revision: number;
}

/** The store at one revision. */
export interface GarbageFacts {
  readonly revision: number;
  readonly releases: readonly PackedRelease[];
  /** Build of each release that an open rollout or an assignment names -> who does. */
  readonly named: ReadonlyMap<string, string>;
  /** Packs of these, also where the release has no row any more, and of builds under way -> who needs them. */
  readonly packs: ReadonlyMap<string, string>;
  /** Digests of all these releases, and of those with a row. */
  readonly digests: ReadonlySet<string>;
  readonly marks: ReadonlyMap<string, StoredMark>;
  /** Longest overall limit of a build under way, milliseconds. */
  readonly longestBuildMs: number;
}

/** Reads it; RevisionCompactedError where it takes so long that its revision is forgotten. */
export async function readGarbageFacts(store: Store): Promise<GarbageFacts> {
  const { revision } = await store.range({ prefix: MARKS, limit: 1 });
  const reader = new FactsReader(store, revision);
  await reader.readRollouts();
  await reader.readAssignments();
  await reader.readBuilds();
  const releases: PackedRelease[] = [];
  for await (const { value } of scan(store, RELEASES, revision)) {
    const release = Release.fromJSON(JSON.parse(new TextDecoder().decode(value)));
    const { build, service, sha, createdAtMs } = release;
    const packs = packNames(release);
    releases.push({ build, service, sha, release: release.release, createdAtMs, packs });
  }
  const marks = new Map<string, StoredMark>();
  for (const prefix of [MARKS, DROPPED]) {
    for await (const entry of scan(store, prefix, revision)) {
      marks.set(packOfMark(entry), { mark: parseMark(entry), revision: entry.modRevision });
    }
  }
  const { named, packs, longestBuildMs } = reader;
  const digests = new Set([...reader.digests, ...releases.map(({ release }) => release)]);
  return { revision, releases, named, packs, digests, marks, longestBuildMs };
}

/** Gathers who names what. */
class FactsReader {
  readonly named = new Map<string, string>();
  readonly packs = new Map<string, string>();
  readonly digests = new Set<string>();
  longestBuildMs = 0;
  readonly #store: Store;
  readonly #revision: number;

  constructor(store: Store, revision: number) {
    this.#store = store;
    this.#revision = revision;
  }

  async readAssignments(): Promise<void> {
    for await (const entry of scan(this.#store, SERVICES_PREFIX, this.#revision)) {
      const service = entry.key.slice(SERVICES_PREFIX.length).split("/")[0] as string;
      if (entry.key !== assignmentsKey(service)) continue;
      for (const one of parseAssignments(entry)) this.#assigned(one, `assigned to ${service}`);
    }
  }

  async readRollouts(): Promise<void> {
    for (const prefix of [ACTIVE_PREFIX, WAITING_PREFIX]) {
      for await (const { value } of scan(this.#store, prefix, this.#revision)) {
        const entry = await this.#get(rolloutKey(new TextDecoder().decode(value)));
        if (entry === undefined) continue;
        const { id, release, previous } = parseRollout(entry);
        this.#names(release, `rollout ${id}`);
        this.#names(previous, `rollout ${id} would go back to it`);
      }
    }
  }

  async readBuilds(): Promise<void> {
    for (const state of ["queued", "leased"] as const) {
      for await (const { key } of scan(this.#store, statePrefix(state), this.#revision)) {
        const entry = await this.#get(buildKey(idOfIndexKey(key)));
        const row = entry && decodeBuild(entry.value);
        if (row === undefined) continue;
        this.longestBuildMs = Math.max(this.longestBuildMs, row.overallMs);
        if (row.state !== "leased") continue;
        this.packs.set(packOf(row.id, row.attempt), `build ${row.id} is making it`);
      }
    }
  }

  #assigned({ release, fallback, before }: AssignmentEntry, by: string): void {
    this.#names(release, by);
    this.#names(fallback, `${by}, to go back to`);
    if (before !== undefined) this.#assigned(before.entry, `${by}, before the rollout`);
  }

  #names(release: Release | undefined, by: string): void {
    if (release === undefined) return;
    this.digests.add(release.release);
    if (!this.named.has(release.build)) this.named.set(release.build, by);
    for (const pack of packNames(release)) if (!this.packs.has(pack)) this.packs.set(pack, by);
  }

  async #get(key: string): Promise<Entry | undefined> {
    const page = await this.#store.range({ prefix: key, limit: 1, revision: this.#revision });
    return page.entries.find((entry) => entry.key === key);
  }
}
