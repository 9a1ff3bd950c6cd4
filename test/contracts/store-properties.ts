// Contract of the store: whatever is done in whatever order, a driver and the model agree, in what
// calls return and in what every watch has seen at the end.
import { strict as assert } from "node:assert";
import { test } from "node:test";
import fc from "fast-check";
import type { Compare, Entry, Operation, Store } from "../../runtime/store/store.ts";
import { RevisionCompactedError } from "../../runtime/store/store-errors.ts";
import { bytes, type OpenStore, text, WatchLog } from "./opened-store.ts";
import { type ModelEntry, StoreModel } from "./store-model.ts";

const KEYS = ["a", "a/1", "a/2", "a0", "b", "\uffee", "\u{1f600}"] as const;
const PREFIXES = ["", "a", "a/", "b", "\u{1f600}"] as const;
const RUNS = 60;

/** Revisions are drawn as distances back from now. */
type Draw =
  | { readonly kind: "transact"; readonly compares: readonly Drawn[]; readonly puts: Puts }
  | {
      readonly kind: "range";
      readonly prefix: string;
      readonly after: string | undefined;
      readonly limit: number;
      readonly descending: boolean;
      readonly back: number;
    }
  | { readonly kind: "watch"; readonly prefix: string; readonly back: number }
  | { readonly kind: "compact"; readonly back: number }
  | { readonly kind: "reopen" };
type Drawn = { readonly key: string; readonly how: number; readonly right: boolean };
type Puts = readonly (readonly [string, string | undefined])[];

const key = fc.constantFrom(...KEYS);
const prefix = fc.constantFrom(...PREFIXES);
const back = fc.nat(6);
const compare = fc.record({ key, how: fc.nat(3), right: fc.boolean() });
const puts = fc.uniqueArray(
  fc.tuple(key, fc.option(fc.constantFrom("1", "2", ""), { nil: undefined })),
  {
    selector: ([name]) => name,
    maxLength: 4,
  },
);
const transact = fc.record({
  kind: fc.constant("transact" as const),
  compares: fc.array(compare, { maxLength: 2 }),
  puts,
});
const draw: fc.Arbitrary<Draw> = fc.oneof(
  { weight: 8, arbitrary: transact },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("range" as const),
      prefix,
      after: fc.option(key, { nil: undefined }),
      limit: fc.integer({ min: 1, max: 4 }),
      descending: fc.boolean(),
      back,
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("watch" as const), prefix, back }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("compact" as const), back }) },
  { weight: 1, arbitrary: fc.constant({ kind: "reopen" as const }) },
);

interface Running {
  readonly prefix: string;
  readonly from: number;
  readonly log: WatchLog;
}

/** Registers the case. */
export function propertyCases(open: OpenStore): void {
  test("a driver does what the model does", async () => {
    const property = fc.asyncProperty(fc.array(draw, { maxLength: 40 }), async (draws) => {
      const opened = await open();
      try {
        let { store } = opened;
        const model = new StoreModel((await store.range({ prefix: "" })).revision);
        let watches: Running[] = [];
        for (const step of draws) {
          if (step.kind === "reopen") {
            await settle(watches, model);
            watches = [];
            store = await opened.reopen();
          } else {
            await take(step, store, model, watches);
          }
        }
        await settle(watches, model);
      } finally {
        await opened.dispose();
      }
    });
    await fc.assert(property, { numRuns: RUNS });
  });
}

async function take(
  step: Exclude<Draw, { readonly kind: "reopen" }>,
  store: Store,
  model: StoreModel,
  watches: Running[],
): Promise<void> {
  const revision = Math.max(model.firstRevision, model.revision - ("back" in step ? step.back : 0));
  switch (step.kind) {
    case "transact": {
      const compares = step.compares.map((drawn) => toCompare(drawn, model));
      const operations = step.puts.map(toOperation);
      const expected = model.transact({ compares, operations });
      const result = await store.transact({ compares, operations });
      assert.deepEqual(result.committed ? result.revision : result.current.map(plain), expected);
      return;
    }
    case "range": {
      const page = store.range({ ...step, revision });
      const isCompacted = await page.then(
        () => false,
        (error: unknown) => error instanceof RevisionCompactedError,
      );
      if (isCompacted) return assert(revision < model.compactedRevision);
      // The last revision before may be kept.
      assert(revision >= model.compactedRevision - 1);
      const { entries, more } = await page;
      const expected = model.range({ ...step, revision });
      assert.deepEqual(entries.map(plain), expected.slice(0, step.limit));
      assert.equal(more, expected.length > step.limit);
      return;
    }
    case "watch": {
      const log = new WatchLog();
      watches.push({ prefix: step.prefix, from: revision, log });
      await log.watch(store, { prefix: step.prefix, fromRevision: revision });
      return;
    }
    case "compact":
      await settle(watches, model);
      await store.compact(revision);
      model.compactedRevision = Math.max(model.compactedRevision, revision);
      return;
    default:
      step satisfies never;
  }
}

/** Waits until every watch has seen all it should have, and compares. */
async function settle(watches: readonly Running[], model: StoreModel): Promise<void> {
  for (const { prefix, from, log } of watches) {
    const expected = model.events(prefix, from);
    await log.until(
      ({ events, compacted }) => compacted !== undefined || events.length >= expected.length,
    );
    if (log.compacted) assert(from < model.compactedRevision, "compaction is told only if so");
    else assert.deepEqual(log.lines, expected);
  }
}

function toCompare({ key, how, right }: Drawn, model: StoreModel): Compare {
  const entry = model.get(key);
  const wrong = right ? 0 : 1;
  if (how === 0) return { key, is: (entry !== undefined) === right ? "present" : "absent" };
  if (how === 1) return { key, modRevision: (entry?.modRevision ?? 0) + wrong };
  if (how === 2) return { key, createRevision: (entry?.createRevision ?? 0) + wrong };
  return { key, value: bytes(right ? (entry?.value ?? "") : "other") };
}

function toOperation([key, value]: readonly [string, string | undefined]): Operation {
  return value === undefined ? { delete: key } : { put: key, value: bytes(value) };
}

function plain(entry: Entry | undefined): ModelEntry | undefined {
  return entry && { ...entry, value: text(entry) ?? "" };
}
