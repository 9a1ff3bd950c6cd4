// Marks of packs as rows of the store, and what a transaction compares and writes that begins to use packs: the
// end of a build, the beginning of a rollout. What the marks mean is decided in core/release/pack-verdict.ts.
import { z } from "zod";
import { type PackMark, standing } from "../../core/release/pack-verdict.ts";
import type { PackRef, Release } from "../../proto/gen/millrace/v1/release_format.ts";
import { failedPrecondition } from "../../runtime/grpc/rpc-error.ts";
import type { Compare, Entry, Operation, Store } from "../../runtime/store/store.ts";

/** Prefix of the packs that attempts dropped. Whoever leads deletes these at once, programs of earlier versions too. */
export const DROPPED = "garbage/";
/** Key of a pack that an attempt dropped; the row has no value. */
export const droppedKey = (pack: string): string => `${DROPPED}${pack}`;
/** Prefix of the packs that are marked, being deleted, or gone. */
export const MARKS = "pack-marks/";
/** Key of a pack's mark. */
export const markKey = (pack: string): string => `${MARKS}${pack}`;

const Mark = z.object({
  state: z.enum(["marked", "deleting", "collected"]),
  atMs: z.number().int().nonnegative(),
  reason: z.string(),
});

/** What a transaction adds that begins to use packs; `gone`: they cannot be used any more. */
export type Footing =
  | { readonly ok: true; readonly compares: readonly Compare[]; readonly operations: Operation[] }
  | { readonly ok: false; readonly gone: string; readonly atMs: number };

/** The mark as a value of the store. */
export function encodeMark(mark: PackMark): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(mark));
}

/** The mark that a row of either prefix is; throws where it is none. */
export function parseMark({ key, value }: Entry): PackMark {
  if (key.startsWith(DROPPED)) return { state: "dropped" };
  return Mark.parse(JSON.parse(new TextDecoder().decode(value)));
}

/**
 * Reads the marks of packs, each once, for a transaction that begins to use them: what it compares holds that
 * none is marked, what it writes takes away marks whose deletion has not begun. What attempts dropped was never any
 * other's to use.
 */
export async function footing(store: Store, packs: Iterable<string>): Promise<Footing> {
  const rows = await Promise.all(
    [...new Set(packs)].map(async (pack) => ({ pack, entry: await store.get(markKey(pack)) })),
  );
  const marks = new Map<string, PackMark>();
  for (const { pack, entry } of rows) if (entry !== undefined) marks.set(pack, parseMark(entry));
  const decided = standing(marks);
  if (!decided.ok) return decided;
  return {
    ok: true,
    compares: rows.map(({ pack, entry }) => ({
      key: markKey(pack),
      modRevision: entry?.modRevision ?? 0,
    })),
    operations: decided.unmark.map((pack) => ({ delete: markKey(pack) })),
  };
}

/** The same for a release; FAILED_PRECONDITION where its packs are gone. */
export async function requireFooting(
  store: Store,
  release: Release,
): Promise<Extract<Footing, { ok: true }>> {
  const found = await footing(store, packNames(release));
  if (found.ok) return found;
  const { service, sha } = release;
  throw failedPrecondition(
    `release ${sha.slice(0, 12)} of ${service}: its packs were collected on ` +
      `${new Date(found.atMs).toISOString().slice(0, 10)}; build it again`,
  );
}

/** Names of the packs that a release needs. */
export function packNames(release: Release): string[] {
  return packsOf(release).map(({ pack }) => pack);
}

/** The packs that a release needs. */
export function packsOf({ layout }: Release): readonly PackRef[] {
  return layout?.packs ?? [];
}

/** Name of the pack that a row of either prefix is about. */
export function packOfMark({ key }: Pick<Entry, "key">): string {
  return key.slice(key.indexOf("/") + 1);
}
