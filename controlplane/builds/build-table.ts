// Build rows in the store: read, found, listed, and changed by compare and swap. It applies changes that
// others decided, and moves the indexes in the same transaction.
import type { BuildRow, BuildState } from "../../core/builds/build-row.ts";
import type { Refusal } from "../../core/builds/build-transitions.ts";
import { unavailable } from "../../runtime/grpc/rpc-error.ts";
import type { Compare, Entry, Operation, Store } from "../../runtime/store/store.ts";
import { type Fence, FenceLostError, isFenced } from "../fence.ts";
import {
  BUILD_ID,
  buildKey,
  changeOperations,
  createOperations,
  dedupEntry,
  idOfIndexKey,
  letsGoOfKey,
  restoreOperations,
  servicePrefix,
  shaPrefix,
  statePrefix,
} from "./build-keys.ts";
import { decodeBuild } from "./build-row-json.ts";

/** Times that a change is tried anew because somebody else changed the row meanwhile. */
const CONFLICTS_MAX = 100;
/** SHAs that one short name is compared with. */
const MATCHES_MAX = 1_000;
const CANDIDATES_MAX = 10;

const STATES: readonly BuildState[] = [
  "queued",
  "leased",
  "succeeded",
  "failed",
  "cancelled",
  "timed_out",
];

/** A change as decided from one reading of the row. */
export type PlannedChange =
  | {
      readonly ok: true;
      readonly row: BuildRow;
      readonly compares?: readonly Compare[];
      readonly operations?: readonly Operation[];
    }
  | { readonly ok: false; readonly refusal: Refusal };

/** What came of a change. */
export type ChangeResult =
  | { readonly ok: true; readonly row: BuildRow; readonly before: BuildRow }
  | { readonly ok: false; readonly refusal: Refusal | "unknown-build" };

/** A build and the revision it was read at. */
export interface StoredBuild {
  readonly row: BuildRow;
  readonly revision: number;
}

export type BuildLookup =
  | { readonly kind: "found"; readonly row: BuildRow }
  | { readonly kind: "absent" }
  | { readonly kind: "ambiguous"; readonly shas: readonly string[] };

export interface BuildFilter {
  readonly service: string;
  readonly states: readonly BuildState[];
}

/** The builds of one store. */
export class BuildTable {
  readonly #store: Store;

  constructor(store: Store) {
    this.#store = store;
  }

  async get(id: string): Promise<BuildRow | undefined> {
    return (await this.read(id))?.row;
  }

  /** Undefined also where no build can have that id. */
  async read(id: string): Promise<StoredBuild | undefined> {
    if (!BUILD_ID.test(id)) return undefined;
    const entry = await this.#store.get(buildKey(id));
    return entry === undefined ? undefined : stored(entry);
  }

  /** The build that equal requests share, if there is one. */
  async sharedBy(dedupKey: string): Promise<{ entry: Entry; id: string } | undefined> {
    const entry = await this.#store.get(dedupEntry(dedupKey));
    return entry && { entry, id: new TextDecoder().decode(entry.value) };
  }

  /** Puts a new build; false when its key was taken meanwhile. `shared`: the entry it replaces. */
  async create(row: BuildRow, shared: Entry | undefined): Promise<boolean> {
    const key = dedupEntry(row.dedupKey);
    const free: Compare =
      shared === undefined ? { key, is: "absent" } : { key, modRevision: shared.modRevision };
    const { committed } = await this.#store.transact({
      compares: [{ key: buildKey(row.id), is: "absent" }, free],
      operations: createOperations(row),
    });
    return committed;
  }

  /**
   * Changes a row as `plan` decides, anew each time that somebody else was faster. With a fence only under its
   * epoch: throws FenceLostError where there is another.
   */
  async change(
    id: string,
    plan: (row: BuildRow) => PlannedChange | Promise<PlannedChange>,
    fence?: Fence,
  ): Promise<ChangeResult> {
    for (let attempt = 0; attempt < CONFLICTS_MAX; attempt += 1) {
      const read = await this.read(id);
      if (read === undefined) return { ok: false, refusal: "unknown-build" };
      const planned = await plan(read.row);
      if (!planned.ok) return planned;
      if (planned.row === read.row) return { ok: true, row: read.row, before: read.row };
      if (await this.#commit(read, planned, fence)) {
        return { ok: true, row: planned.row, before: read.row };
      }
    }
    throw unavailable(`build ${id} is changed too often at this moment; try again`);
  }

  /** Puts an archived build back, as it is after a change; false where the change does not hold any more. */
  async restore(change: Extract<PlannedChange, { ok: true }>): Promise<boolean> {
    const { row, compares = [], operations = [] } = change;
    const { committed } = await this.#store.transact({
      compares: [{ key: buildKey(row.id), is: "absent" }, ...compares],
      operations: [...restoreOperations(row), ...operations],
    });
    return committed;
  }

  /** The newest build of a SHA, whole or short. */
  async findBySha(sha: string): Promise<BuildLookup> {
    const page = await this.#store.range({
      prefix: shaPrefix(sha),
      limit: MATCHES_MAX,
      descending: true,
    });
    const newest = new Map<string, string>();
    for (const { key } of page.entries) {
      const whole = key.split("/")[1]!;
      if (!newest.has(whole)) newest.set(whole, idOfIndexKey(key));
    }
    const [id, ...others] = newest.values();
    if (id === undefined) return { kind: "absent" };
    if (others.length > 0) {
      return { kind: "ambiguous", shas: [...newest.keys()].slice(0, CANDIDATES_MAX) };
    }
    const row = await this.get(id);
    return row === undefined ? { kind: "absent" } : { kind: "found", row };
  }

  /** Ids of queued builds, the oldest first. */
  async oldestQueued(limit: number): Promise<string[]> {
    const page = await this.#store.range({ prefix: statePrefix("queued"), limit });
    return page.entries.map((entry) => idOfIndexKey(entry.key));
  }

  /** Builds before `place` (empty: all), newest first; `nextPlace` is empty at the end. */
  async page(
    filter: BuildFilter,
    place: string,
    limit: number,
  ): Promise<{ readonly rows: BuildRow[]; readonly nextPlace: string }> {
    const rows: BuildRow[] = [];
    let after = place;
    for (;;) {
      const { places, more } = await this.#places(filter, after, limit);
      for (const next of places) {
        if (rows.length === limit) return { rows, nextPlace: after };
        after = next;
        const row = await this.get(idOfIndexKey(next));
        if (row !== undefined && isWanted(row, filter)) rows.push(row);
      }
      if (!more) return { rows, nextPlace: "" };
    }
  }

  /** Every live build, with the revision from which on changes are to be watched. */
  async live(): Promise<{ readonly rows: BuildRow[]; readonly revision: number }> {
    const { revision } = await this.#store.range({ prefix: statePrefix("queued"), limit: 1 });
    const rows: BuildRow[] = [];
    for (const state of ["queued", "leased"] as const) {
      const prefix = statePrefix(state);
      let page = await this.#store.range({ prefix, revision });
      for (;;) {
        for (const { key } of page.entries) {
          const row = await this.get(idOfIndexKey(key));
          if (row !== undefined) rows.push(row);
        }
        const last = page.entries.at(-1);
        if (!page.more || last === undefined) break;
        page = await this.#store.range({ prefix, revision, after: last.key });
      }
    }
    return { rows, revision };
  }

  async #places(
    filter: BuildFilter,
    after: string,
    limit: number,
  ): Promise<{ readonly places: string[]; readonly more: boolean }> {
    const states = filter.states.length === 0 ? STATES : filter.states;
    const prefixes =
      filter.service === "" ? states.map(statePrefix) : [servicePrefix(filter.service)];
    let revision: number | undefined;
    const places: string[] = [];
    let more = false;
    for (const prefix of prefixes) {
      const page = await this.#store.range({
        prefix,
        limit: limit + 1,
        descending: true,
        ...(after === "" ? {} : { after: `${prefix}${after}` }),
        ...(revision === undefined ? {} : { revision }),
      });
      revision = page.revision;
      more ||= page.more;
      places.push(...page.entries.map((entry) => entry.key.slice(prefix.length)));
    }
    places.sort((a, b) => (a < b ? 1 : -1));
    return { places: places.slice(0, limit + 1), more: more || places.length > limit + 1 };
  }

  async #commit(
    read: StoredBuild,
    planned: Extract<PlannedChange, { ok: true }>,
    fence: Fence | undefined,
  ): Promise<boolean> {
    const { row } = planned;
    const compares: Compare[] = [
      { key: buildKey(row.id), modRevision: read.revision },
      ...(planned.compares ?? []),
    ];
    const operations = [...changeOperations(read.row, row), ...(planned.operations ?? [])];
    if (letsGoOfKey(read.row, row)) {
      const shared = await this.sharedBy(row.dedupKey);
      // A build that was forced anew has taken the key over.
      if (shared?.id === row.id) {
        compares.push({ key: shared.entry.key, modRevision: shared.entry.modRevision });
        operations.push({ delete: shared.entry.key });
      }
    }
    if (fence !== undefined) compares.push(fence.compare);
    const result = await this.#store.transact({ compares, operations });
    if (result.committed) return true;
    if (fence !== undefined && isFenced(fence, result.current.at(-1))) throw new FenceLostError();
    return false;
  }
}

function isWanted(row: BuildRow, filter: BuildFilter): boolean {
  if (filter.states.length > 0 && !filter.states.includes(row.state)) return false;
  return filter.service === "" || row.service === filter.service;
}

function stored(entry: Entry): StoredBuild {
  return { row: decodeBuild(entry.value), revision: entry.modRevision };
}
