// Which releases are kept, and why: the one rule by which packs are collected and rows are archived. A
// release that it does not name may lose its packs and its row. Pure; who reads the facts does so at one
// revision of the store, so that a release on its way from a rollout to an assignment is not missed.

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

/**
 * The kept releases by build: those that are named, of each digest that machines have the newest, and the
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

/** Newest first; of one instant the order is the same everywhere. */
function newestFirst(a: ReleaseFacts, b: ReleaseFacts): number {
  return b.createdAtMs - a.createdAtMs || (a.build < b.build ? 1 : -1);
}
