// The collector of one leader: looks at all packs now and then, and when asked, writes down what was decided, and has
// the deleter carry it out. Every write is under the leader's epoch and compares the mark as it was read.
import { OVERALL_MS_DEFAULT, OVERALL_MS_MAX } from "../../core/builds/build-limits.ts";
import { KEPT_RELEASES_DEFAULT, neededPacks } from "../../core/release/kept-releases.ts";
import { isPackId } from "../../core/release/pack-id.ts";
import {
  type JudgedPack,
  judgePacks,
  nextMark,
  type StoredPack,
} from "../../core/release/pack-verdict.ts";
import type { BlobStore } from "../../runtime/blobs/blob-store.ts";
import { failpoint } from "../../runtime/failpoint.ts";
import type { Log } from "../../runtime/log.ts";
import { PACKS } from "../../runtime/release/pack-keys.ts";
import type { Compare, Operation, Store } from "../../runtime/store/store.ts";
import { type Fence, FenceLostError, isFenced } from "../fence.ts";
import type { ReleasesInUse } from "../fleet/releases-in-use.ts";
import { type GarbageFacts, readGarbageFacts } from "./garbage-facts.ts";
import type { PackDeleter } from "./pack-deleter.ts";
import { encodeMark, markKey } from "./pack-mark-row.ts";

/** Changes of marks in one transaction: each is a compare and a write, of 128 that fit. */
const CHANGES_MAX = 50;
/** A mark waits this much longer than the longest build under way: its end may be swept and committed late. */
const MARGIN_MS = 60_000;

/**
 * A pack that is gone is remembered until every build has ended that may have found it whole: the longest may take a
 * day, and is then swept.
 */
const REMEMBER_MS = OVERALL_MS_MAX + 3_600_000;

/** How the collector goes about it. */
export interface GarbageLimits {
  /** Releases kept of each service beside those in use. */
  readonly keepReleases: number;
  /** How often it looks by itself, milliseconds; 0: only when asked. */
  readonly everyMs: number;
  /** How long a mark waits at least, milliseconds; longer where a build under way may take longer. */
  readonly waitMs: number;
}

/** Limits of a control plane that says nothing else. */
export const GARBAGE_LIMITS: GarbageLimits = {
  keepReleases: KEPT_RELEASES_DEFAULT,
  // A list of 100,000 blobs takes a bucket 10 s.
  everyMs: 10 * 60_000,
  // Longer than builds take that name no limit, by half.
  waitMs: 1.5 * OVERALL_MS_DEFAULT,
};

export interface CollectorOptions {
  readonly store: Store;
  readonly fence: Fence;
  readonly origin: BlobStore;
  readonly deleter: PackDeleter;
  /** Which releases machines have; relays that have been away for so long in this term are not waited for. */
  readonly releasesInUse: (awayMs: number) => Promise<ReleasesInUse>;
  readonly limits: GarbageLimits;
  readonly log: Log;
  /** The term is to end: another leader has taken over. */
  readonly onFenceLost: () => void;
}

/** What one look came to. */
export interface Collected {
  readonly packs: readonly JudgedPack[];
  /** Why nothing is marked or deleted now; empty: nothing is in the way. */
  readonly held: string;
}

export class Collector {
  readonly #options: CollectorOptions;
  #turn: Promise<unknown> = Promise.resolve();
  #timer: NodeJS.Timeout | undefined;
  #isStopped = false;

  constructor(options: CollectorOptions) {
    this.#options = options;
  }

  /** Looks by itself from now on, first after one interval: by then relays have connected. */
  start(): void {
    const { everyMs } = this.#options.limits;
    if (everyMs === 0 || this.#isStopped) return;
    this.#timer = setTimeout(() => {
      void this.#lookAlone().finally(() => this.start());
    }, everyMs);
  }

  /** Looks once, after whoever looks now; with `isDry` it writes and deletes nothing. Rejects as the stores do. */
  collect(isDry: boolean): Promise<Collected> {
    const looked = this.#turn.then(() => this.#collect(isDry));
    this.#turn = looked.catch(() => {});
    return looked;
  }

  /** Ends it, and waits for what is under way. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    await this.#turn;
  }

  async #lookAlone(): Promise<void> {
    const { log } = this.#options;
    try {
      const { packs, held } = await this.collect(false);
      const counts = Object.groupBy(packs, ({ verdict }) => verdict);
      const sums = Object.entries(counts).map(([verdict, some]) => [verdict, some.length]);
      log.info({ ...Object.fromEntries(sums), ...(held && { held }) }, "looked at all packs");
    } catch (error) {
      if (!this.#isStopped) log.warn({ err: error }, "packs could not be looked at; later again");
    }
  }

  async #collect(isDry: boolean): Promise<Collected> {
    const { store, limits } = this.#options;
    // In this order: whatever is stored was named by then, or is by what is read next.
    const stored = await this.#stored();
    const facts = await readGarbageFacts(store);
    const { longestBuildMs } = facts;
    const waitMs = Math.max(limits.waitMs, longestBuildMs === 0 ? 0 : longestBuildMs + MARGIN_MS);
    const inUse = await this.#options.releasesInUse(waitMs);
    const held = inUse.known ? "" : inUse.unknown;
    const onMachines = inUse.known ? inUse.digests : new Set<string>();
    const { releases, named } = facts;
    const marks = new Map([...facts.marks].map(([pack, { mark }]) => [pack, mark]));
    const nowMs = Date.now();
    const packs = judgePacks({
      ...{ nowMs, stored, marks, waitMs, held },
      needed: neededPacks(releases, { named, onMachines }, limits.keepReleases, facts.packs, marks),
      isStoreBehind: [...onMachines].some((digest) => !facts.digests.has(digest)),
      named: new Set(releases.flatMap((release) => release.packs)),
      rememberMs: REMEMBER_MS,
    });
    if (!isDry && !this.#isStopped) await this.#carryOut(packs, facts, nowMs);
    return { packs, held };
  }

  /** What lies at the origin, by pack. */
  async #stored(): Promise<Map<string, StoredPack>> {
    const stored = new Map<string, StoredPack>();
    let after: string | undefined;
    for (;;) {
      if (this.#isStopped) throw new Error("the leader's term has ended");
      const page = await this.#options.origin.list(PACKS, after === undefined ? {} : { after });
      for (const { key, bytes } of page.blobs) {
        const [pack = "", name] = key.slice(PACKS.length).split("/");
        // Whatever else lies there is not ours to delete.
        if (!isPackId(pack)) continue;
        const so = stored.get(pack) ?? { bytes: 0, blobs: 0, isSealed: false };
        const isSealed = so.isSealed || name === "seal";
        stored.set(pack, { bytes: so.bytes + bytes, blobs: so.blobs + 1, isSealed });
      }
      after = page.blobs.at(-1)?.key;
      if (!page.more || after === undefined) return stored;
    }
  }

  async #carryOut(packs: readonly JudgedPack[], facts: GarbageFacts, nowMs: number): Promise<void> {
    const changes = packs.flatMap((judged) => changeOf(judged, facts, nowMs));
    for (let first = 0; first < changes.length; first += CHANGES_MAX) {
      const some = changes.slice(first, first + CHANGES_MAX);
      if (await this.#commit(some)) continue;
      // Somebody else was faster with one of them, which is looked at again next time.
      for (const change of some) await this.#commit([change]);
    }
    for (const { pack, verdict } of packs) {
      if (verdict !== "delete" && verdict !== "deleting") continue;
      // The deleter has its own pace with what attempts dropped.
      if (facts.marks.get(pack)?.mark.state === "dropped") continue;
      if (this.#isStopped) return;
      await this.#options.deleter.delete(pack);
    }
  }

  async #commit(changes: readonly Change[]): Promise<boolean> {
    const { store, fence, onFenceLost } = this.#options;
    failpoint("controlplane.before-gc-txn");
    const result = await store.transact({
      compares: [fence.compare, ...changes.map(({ compare }) => compare)],
      operations: changes.map(({ operation }) => operation),
    });
    failpoint("controlplane.after-gc-txn");
    if (result.committed) return true;
    if (!isFenced(fence, result.current[0])) return false;
    onFenceLost();
    throw new FenceLostError();
  }
}

interface Change {
  readonly compare: Compare;
  readonly operation: Operation;
}

/** What is written of a verdict; nothing where it says that all is as it should be. */
function changeOf(judged: JudgedPack, { marks }: GarbageFacts, nowMs: number): Change[] {
  const key = markKey(judged.pack);
  const mark = nextMark(judged, nowMs);
  if (mark === undefined) return [];
  const operation = mark === "none" ? { delete: key } : { put: key, value: encodeMark(mark) };
  const modRevision = marks.get(judged.pack)?.revision ?? 0;
  return [{ compare: { key, modRevision }, operation }];
}
