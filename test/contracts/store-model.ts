// The store as a page of plain code: every version of the whole map is kept, and nothing is fast.
// What a driver does is compared with it.
import type { Compare, Operation, RangeOptions, Transaction } from "../../runtime/store/store.ts";

/** What the model knows of an entry. */
export interface ModelEntry {
  readonly key: string;
  readonly value: string;
  readonly createRevision: number;
  readonly modRevision: number;
  readonly version: number;
}

type Snapshot = ReadonlyMap<string, ModelEntry>;

/** Values are text; revisions go on from the one the driver started at. */
export class StoreModel {
  readonly #states: { readonly revision: number; readonly map: Snapshot }[];
  readonly #events: string[][] = [];
  readonly firstRevision: number;
  compactedRevision = 0;

  constructor(revision: number) {
    this.firstRevision = revision;
    this.#states = [{ revision, map: new Map() }];
  }

  get revision(): number {
    return this.#states.at(-1)?.revision ?? 0;
  }

  get(key: string): ModelEntry | undefined {
    return this.#at(this.revision).get(key);
  }

  /** The revision after the transaction, or what the compares' keys are when it is refused. */
  transact({ compares, operations }: Transaction): number | readonly (ModelEntry | undefined)[] {
    if (!compares.every((compare) => this.#holds(compare))) {
      return compares.map(({ key }) => this.get(key));
    }
    const revision = this.revision + 1;
    const map = new Map(this.#at(this.revision));
    const lines = operations.flatMap((operation) => apply(map, operation, revision));
    if (lines.length > 0) {
      this.#states.push({ revision, map });
      this.#events.push(lines);
    }
    return this.revision;
  }

  range(options: RangeOptions): readonly ModelEntry[] {
    const { prefix, after, descending = false } = options;
    const entries = [...this.#at(options.revision ?? this.revision).values()]
      .filter(({ key }) => key.startsWith(prefix))
      .sort((a, b) => order(a.key, b.key) * (descending ? -1 : 1));
    if (after === undefined) return entries;
    return entries.filter(({ key }) => order(key, after) * (descending ? -1 : 1) > 0);
  }

  /** The events under a prefix from a revision on, as lines. */
  events(prefix: string, fromRevision: number): string[] {
    return this.#events
      .filter((_, index) => this.firstRevision + index + 1 >= fromRevision)
      .flat()
      .filter((line) => line.split(" ", 3)[2]?.startsWith(prefix));
  }

  #at(revision: number): Snapshot {
    return this.#states[revision - this.firstRevision]?.map ?? new Map();
  }

  #holds(compare: Compare): boolean {
    const entry = this.get(compare.key);
    if ("is" in compare) return (compare.is === "present") === (entry !== undefined);
    if ("modRevision" in compare) return compare.modRevision === (entry?.modRevision ?? 0);
    if ("createRevision" in compare) return compare.createRevision === (entry?.createRevision ?? 0);
    return entry?.value === new TextDecoder().decode(compare.value);
  }
}

function apply(map: Map<string, ModelEntry>, operation: Operation, revision: number): string[] {
  if ("delete" in operation) {
    const { delete: key } = operation;
    return map.delete(key) ? [`${revision} delete ${key}`] : [];
  }
  const { put: key } = operation;
  const value = new TextDecoder().decode(operation.value);
  const before = map.get(key);
  const createRevision = before?.createRevision ?? revision;
  const version = (before?.version ?? 0) + 1;
  map.set(key, { key, value, createRevision, modRevision: revision, version });
  return [`${revision} put ${key}=${value}`];
}

/** The order of keys: that of their UTF-8 bytes. */
export function order(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
