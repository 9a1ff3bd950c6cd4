// What `millrace gc` found, as people read it and as JSON.
import {
  type PackFate,
  PackVerdict,
  packVerdictToJSON,
} from "../../proto/gen/millrace/v1/garbage.ts";
import { formatBytes } from "../../runtime/program/byte-amount.ts";
import { formatAge, formatTable } from "./format.ts";

const PREFIX = "PACK_VERDICT_";

/** Verdicts as words, by whether it was done or only would be. */
const WORDS: Readonly<Record<number, readonly [done: string, dry: string]>> = {
  [PackVerdict.PACK_VERDICT_KEEP]: ["kept", "kept"],
  [PackVerdict.PACK_VERDICT_MARK]: ["marked", "would be marked"],
  [PackVerdict.PACK_VERDICT_UNMARK]: ["kept again", "would be kept again"],
  [PackVerdict.PACK_VERDICT_WAIT]: ["waits", "waits"],
  [PackVerdict.PACK_VERDICT_DELETE]: ["deleted", "would be deleted"],
  [PackVerdict.PACK_VERDICT_DELETING]: ["being deleted", "being deleted"],
  [PackVerdict.PACK_VERDICT_GONE]: ["gone", "gone"],
  [PackVerdict.PACK_VERDICT_FORGET]: ["forgotten", "would be forgotten"],
};

/** A row for each pack, and a sentence with the sums. */
export function garbageTable(
  packs: readonly PackFate[],
  held: string,
  isDry: boolean,
  nowMs = Date.now(),
): string {
  const why = held === "" ? "" : `nothing is marked or deleted now: ${held}\n`;
  if (packs.length === 0) return `${why}no packs`;
  const rows = packs.map((pack) => [
    pack.pack,
    wordOf(pack, isDry),
    formatBytes(pack.bytes),
    formatAge(pack.sinceMs, nowMs),
    pack.reason,
  ]);
  const sums = sumsOf(packs, (pack) => wordOf(pack, isDry)).map(
    ({ verdict, count, bytes }) => `${count} ${verdict} (${formatBytes(bytes)})`,
  );
  return `${why}${formatTable(["PACK", "VERDICT", "BYTES", "SINCE", "WHY"], rows)}\n${sums.join(", ")}`;
}

/** The same for --json. */
export function garbageRecord(packs: readonly PackFate[], held: string, isDry: boolean): object {
  return {
    dryRun: isDry,
    held,
    packs: packs.map((pack) => ({ ...pack, verdict: nameOf(pack) })),
    sums: sumsOf(packs, nameOf),
  };
}

function sumsOf(
  packs: readonly PackFate[],
  nameOf: (pack: PackFate) => string,
): { readonly verdict: string; readonly count: number; readonly bytes: number }[] {
  const groups = Map.groupBy(packs, nameOf);
  return [...groups].map(([verdict, some]) => {
    const bytes = some.reduce((sum, pack) => sum + pack.bytes, 0);
    return { verdict, count: some.length, bytes };
  });
}

/** The verdict as --json has it: "keep", "mark", "wait". */
function nameOf({ verdict }: PackFate): string {
  return packVerdictToJSON(verdict).slice(PREFIX.length).toLowerCase();
}

function wordOf({ verdict }: PackFate, isDry: boolean): string {
  return WORDS[verdict]?.[isDry ? 1 : 0] ?? "unknown";
}
