// Which releases are kept, and why: the one rule by which packs are collected and rows are archived. A
// release that it does not name may lose its packs and its row. Pure; who reads the facts does so at one
// revision of the store, so that a release on its way from a rollout to an assignment is not missed.
import { isGone, type PackMark } from "./pack-verdict.ts";

/** Releases kept of each service beside those in use: a day of a busy service can be gone back through. */
export const KEPT_RELEASES_DEFAULT = 10;

/** A release as far as keeping goes. */
export interface ReleaseFacts {
  /** The build that made it; a build makes one release at most. */
  readonly build: string;
  readonly service: string;
  readonly sha: string;
  /** Digest of its manifest, hex: builds with equal output share it. */
  readonly release: string;
  readonly createdAtMs: number;
}

/** A release with the packs that it needs. */
export interface PackedRelease extends ReleaseFacts {
  readonly packs: readonly string[];
}

/** Who uses releases now. */
export interface ReleaseUses {
  /** Build of a release that a rollout or an assignment names -> who names it, in words. */
  readonly named: ReadonlyMap<string, string>;
  /** Digests of what machines run, bring to disk or would go back to. */
  readonly onMachines: ReadonlySet<string>;
}

/** Why a release is kept; `by` says who, in words for people. */
export interface Keeping {
  readonly why: "named" | "on-machines" | "newest";
  readonly by: string;
}

/** The releases that can still be fetched: no pack of theirs is gone. Only these count in the rule below. */
export function usableReleases<One extends PackedRelease>(
  releases: readonly One[],
  marks: ReadonlyMap<string, PackMark>,
): One[] {
  return releases.filter(({ packs }) => !packs.some((pack) => isGone(marks.get(pack))));
}

/**
 * The kept ones of usable releases, by build: those that are named, of each digest that machines have the newest, and the
 * newest of each of the last `keepLast` SHAs of a service.
 */
export function keptReleases(
  releases: readonly ReleaseFacts[],
  uses: ReleaseUses,
  keepLast: number,
): Map<string, Keeping> {
  const kept = new Map<string, Keeping>();
  const shasOf = new Map<string, Set<string>>();
  const digestsSeen = new Set<string>();
  for (const { build, service, sha, release } of releases.toSorted(newestFirst)) {
    const shas = shasOf.get(service) ?? new Set<string>();
    shasOf.set(service, shas);
    const isNewestOfSha = !shas.has(sha);
    shas.add(sha);
    // The same output may belong to several services, and each fetches by a layout of its own.
    const digest = `${service}/${release}`;
    const isNewestOfDigest = !digestsSeen.has(digest);
    digestsSeen.add(digest);
    const named = uses.named.get(build);
    if (named !== undefined) {
      kept.set(build, { why: "named", by: named });
    } else if (isNewestOfDigest && uses.onMachines.has(release)) {
      kept.set(build, { why: "on-machines", by: "machines run it or would go back to it" });
    } else if (isNewestOfSha && shas.size <= keepLast) {
      kept.set(build, { why: "newest", by: `one of the last ${keepLast} releases of ${service}` });
    }
  }
  return kept;
}

/**
 * Who needs each pack, in words: `directly` says it of some, the others are those of kept releases. A pack that is not
 * in the answer is needed by nobody.
 */
export function neededPacks(
  releases: readonly PackedRelease[],
  uses: ReleaseUses,
  keepLast: number,
  directly: ReadonlyMap<string, string>,
  marks: ReadonlyMap<string, PackMark>,
): Map<string, string> {
  const needed = new Map(directly);
  const usable = usableReleases(releases, marks);
  const kept = keptReleases(usable, uses, keepLast);
  for (const { build, sha, service, packs } of usable) {
    const keeping = kept.get(build);
    if (keeping === undefined) continue;
    const by = `release ${sha.slice(0, 12)} of ${service}: ${keeping.by}`;
    for (const pack of packs) if (!needed.has(pack)) needed.set(pack, by);
  }
  return needed;
}

/** Newest first; of one instant the order is the same everywhere. */
function newestFirst(a: ReleaseFacts, b: ReleaseFacts): number {
  return b.createdAtMs - a.createdAtMs || (a.build < b.build ? 1 : -1);
}
