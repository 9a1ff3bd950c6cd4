// Which releases are kept at this moment, for whoever lets go of the others: the rule of core/release/kept-releases.ts on
// what the store and the machines say.
import { type Keeping, keptReleases, usableReleases } from "../../core/release/kept-releases.ts";
import type { Store } from "../../runtime/store/store.ts";
import type { ReleasesInUse } from "../fleet/releases-in-use.ts";
import { type GarbageFacts, readGarbageFacts } from "./garbage-facts.ts";

/** The kept releases by build, and the facts they follow from. */
export interface KeptNow {
  readonly facts: GarbageFacts;
  readonly kept: ReadonlyMap<string, Keeping>;
}

/** Reads it; undefined where it is not known what machines have. */
export async function readKept(
  store: Store,
  keepLast: number,
  releasesInUse: () => Promise<ReleasesInUse>,
): Promise<KeptNow | undefined> {
  const inUse = await releasesInUse();
  if (!inUse.known) return undefined;
  const facts = await readGarbageFacts(store);
  const marks = new Map([...facts.marks].map(([pack, { mark }]) => [pack, mark]));
  const uses = { named: facts.named, onMachines: inUse.digests };
  return { facts, kept: keptReleases(usableReleases(facts.releases, marks), uses, keepLast) };
}
