// Releases and the marks of their packs as the simulated store keeps them, and what a transaction adds that begins to use
// a release.
import type { PackedRelease } from "../../core/release/kept-releases.ts";
import { type PackMark, standing } from "../../core/release/pack-verdict.ts";
import type { Release } from "./messages.ts";
import type { Condition, StoredEntry, StoreModel, Write } from "./store-model.ts";

export const MARKS_PREFIX = "pack-marks/";
export const markKey = (pack: string): string => `${MARKS_PREFIX}${pack}`;
export const RELEASES_PREFIX = "releases/";

/** What a transaction compares and writes that begins to use a release; undefined: its pack is gone. */
export function footing(
  model: StoreModel,
  release: Release,
  wallMs: number,
): { readonly compares: readonly Condition[]; readonly operations: readonly Write[] } | undefined {
  const { pack, service, release: name } = release;
  const mark: StoredEntry | undefined = model.get(markKey(pack));
  const marks = new Map(mark === undefined ? [] : [[pack, mark.value as PackMark]]);
  const decided = standing(marks);
  if (!decided.ok) return undefined;
  const key = `${RELEASES_PREFIX}${name}`;
  const facts = { build: name, service, sha: name, release: name, packs: [pack] };
  const row: PackedRelease = { ...facts, createdAtMs: wallMs };
  const isKnown = model.get(key) !== undefined;
  return {
    compares: [{ key: markKey(pack), modRevision: mark?.modRevision ?? 0 }],
    operations: [
      ...decided.unmark.map((one) => ({ delete: markKey(one) })),
      ...(isKnown ? [] : [{ put: key, value: row }]),
    ],
  };
}
