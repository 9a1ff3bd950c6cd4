// What becomes of each pack at the origin: kept, marked, deleted once its mark is old enough, or forgotten.
// It decides on facts of one revision of the store, which are younger than the list of what is stored and not
// older than the marks. With that, and because whoever begins to use a pack takes its mark away in the same
// transaction (`standing`), nothing that is needed is ever deleted, however late or often somebody dies.

/** How a pack stands that is not simply there. Instants are wall-clock milliseconds. */
export type PackMark =
  /** Its attempt ended without a release; deleted at once. */
  | { readonly state: "dropped" }
  /** Nobody needed it; deleted when it has waited. Whoever begins to use it takes the mark away. */
  | { readonly state: "marked"; readonly atMs: number; readonly reason: string }
  /** Its deletion may have begun: it is of no use to anybody any more. */
  | { readonly state: "deleting"; readonly atMs: number; readonly reason: string }
  /** It is gone; kept while releases name it, so that it can be said. */
  | { readonly state: "collected"; readonly atMs: number; readonly reason: string };

/** A pack's blobs, as listed. */
export interface StoredPack {
  readonly bytes: number;
  readonly blobs: number;
  readonly isSealed: boolean;
}

/** All that the verdicts depend on. */
export interface PackWorld {
  readonly nowMs: number;
  /** What lies at the origin, listed before the store was read. */
  readonly stored: ReadonlyMap<string, StoredPack>;
  readonly marks: ReadonlyMap<string, PackMark>;
  /** Who needs a pack, in words for people. */
  readonly needed: ReadonlyMap<string, string>;
  /** Packs that some release in the store names. */
  readonly named: ReadonlySet<string>;
  /** Machines have releases that the store does not know, as where an older state of it was put back. */
  readonly isStoreBehind: boolean;
  /** How old a mark must be: longer than any build that is under way may take. */
  readonly waitMs: number;
  /** Why it is not known what machines have, so that nothing may be marked or deleted; empty: it is known. */
  readonly held: string;
  /** How long it is remembered that a pack is gone which no release names: longer than any build may take. */
  readonly rememberMs: number;
}

export type Verdict =
  | "keep"
  /** Nobody needs it: mark it. */
  | "mark"
  /** It is needed after all: take the mark away. */
  | "unmark"
  /** Marked, and not for long enough. */
  | "wait"
  /** Write down that it is being deleted, then delete it. */
  | "delete"
  /** Written down already: delete what is left. */
  | "deleting"
  /** Gone, and remembered. */
  | "gone"
  /** Gone, and nobody asks any more. */
  | "forget";

export interface JudgedPack {
  readonly pack: string;
  readonly verdict: Verdict;
  readonly bytes: number;
  /** Who keeps it, or why it goes. */
  readonly reason: string;
  /** When its mark or what followed from it was written; 0: never. */
  readonly sinceMs: number;
}

/** The verdicts by pack, in the order of their names. */
export function judgePacks(world: PackWorld): JudgedPack[] {
  const packs = new Set([...world.stored.keys(), ...world.marks.keys()]);
  return [...packs].sort().map((pack) => {
    const mark = world.marks.get(pack);
    const { verdict, reason } = judge(pack, mark, world);
    const sinceMs = mark !== undefined && "atMs" in mark ? mark.atMs : 0;
    return { pack, verdict, reason, sinceMs, bytes: world.stored.get(pack)?.bytes ?? 0 };
  });
}

/** What is written of a verdict at `nowMs`: another mark, none any more, or nothing where all is as it should be. */
export function nextMark(
  { verdict, reason }: JudgedPack,
  nowMs: number,
): PackMark | "none" | undefined {
  switch (verdict) {
    case "mark":
      return { state: "marked", atMs: nowMs, reason };
    case "delete":
      return { state: "deleting", atMs: nowMs, reason };
    case "unmark":
    case "forget":
      return "none";
    case "keep":
    case "wait":
    case "deleting":
    case "gone":
      return undefined;
    default:
      throw verdict satisfies never;
  }
}

/** What a transaction does that begins to use packs; `gone` where one of them cannot be used any more. */
export type Standing =
  | { readonly ok: true; readonly unmark: readonly string[] }
  | { readonly ok: false; readonly gone: string; readonly atMs: number };

/** Whether a pack with this mark is of no use to anybody any more. */
export function isGone(mark: PackMark | undefined): boolean {
  return mark !== undefined && mark.state !== "marked";
}

/** Decides whether packs with these marks can be used. A mark is taken away while its deletion has not begun. */
export function standing(marks: ReadonlyMap<string, PackMark>): Standing {
  const unmark: string[] = [];
  for (const [pack, mark] of marks) {
    if (!isGone(mark)) unmark.push(pack);
    else return { ok: false, gone: pack, atMs: "atMs" in mark ? mark.atMs : 0 };
  }
  return { ok: true, unmark };
}

function judge(
  pack: string,
  mark: PackMark | undefined,
  world: PackWorld,
): Pick<JudgedPack, "verdict" | "reason"> {
  const { nowMs, stored, named, waitMs, held, rememberMs } = world;
  const by = world.needed.get(pack) ?? whySpared(pack, world);
  switch (mark?.state) {
    case undefined:
      if (by !== undefined || held !== "") return { verdict: "keep", reason: by ?? held };
      return { verdict: "mark", reason: whyUnneeded(pack, named, stored.get(pack)) };
    case "dropped":
      return { verdict: "deleting", reason: "its attempt ended without a release" };
    case "marked": {
      if (by !== undefined) return { verdict: "unmark", reason: by };
      const isOld = nowMs - mark.atMs >= waitMs && held === "";
      return { verdict: isOld ? "delete" : "wait", reason: mark.reason };
    }
    case "deleting":
      return { verdict: "deleting", reason: mark.reason };
    case "collected": {
      const { reason } = mark;
      // Stored by a worker that did not know yet that its attempt was over.
      if (stored.has(pack)) return { verdict: "delete", reason };
      const isForgotten = !named.has(pack) && nowMs - mark.atMs >= rememberMs;
      return { verdict: isForgotten ? "forget" : "gone", reason };
    }
    default:
      throw mark satisfies never;
  }
}

/** A whole pack of which the store knows nothing may be what the machines have. */
function whySpared(pack: string, { isStoreBehind, named, stored }: PackWorld): string | undefined {
  const isOfNobody = !named.has(pack) && stored.get(pack)?.isSealed === true;
  return isStoreBehind && isOfNobody
    ? "machines have releases that the store does not know, it may be of one"
    : undefined;
}

function whyUnneeded(
  pack: string,
  named: ReadonlySet<string>,
  stored: StoredPack | undefined,
): string {
  if (named.has(pack)) return "no kept release needs it";
  if (stored?.isSealed === false) return "left without a seal by an attempt that is over";
  return "no release names it";
}
