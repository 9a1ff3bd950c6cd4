// Turns the rows of builds to be shipped into what the fleet wants to know of their packs: begun, grown,
// ended. Level-triggered: it compares each row with what it told last.
import { type BuildRow, type LeasedBuild, packOf } from "../../core/builds/build-row.ts";
import type { LiveBuilds } from "./live-builds.ts";
import type { PackFeed, PackOrder } from "./pack-feed.ts";

interface Told {
  readonly pack: string;
  readonly order: string;
  segments: number;
}

/** Keeps the fleet told of packs that grow. */
export class OrderFeed {
  readonly #feed: PackFeed;
  readonly #told = new Map<string, Told>();
  readonly #unsubscribe: readonly (() => void)[];

  constructor(feed: PackFeed, live: LiveBuilds) {
    this.#feed = feed;
    this.#unsubscribe = [
      live.onRow((row) => this.#compare(row)),
      live.onNews((build, attempt, { segments }) => this.#grew(build, attempt, segments)),
    ];
  }

  /** Tells nothing any more. */
  close(): void {
    for (const unsubscribe of this.#unsubscribe) unsubscribe();
  }

  /** So many segments of an attempt's pack lie at the origin; ignored where nobody pre-fetches it. */
  #grew(build: string, attempt: number, segments: number): void {
    const told = this.#told.get(build);
    if (told?.pack !== packOf(build, attempt) || segments <= told.segments) return;
    told.segments = segments;
    this.#feed.packGrew(told.pack, segments);
  }

  #compare(row: BuildRow): void {
    const wanted = row.state === "leased" && !row.cancelling ? orderOf(row) : undefined;
    const before = this.#told.get(row.id);
    if (before !== undefined && before.pack !== wanted?.pack) {
      this.#told.delete(row.id);
      const isKept = row.state === "succeeded" && packOf(row.id, row.attempt) === before.pack;
      this.#feed.orderEnded(before.pack, isKept);
    }
    if (wanted === undefined) return;
    const order = JSON.stringify(wanted);
    const known = this.#told.get(row.id);
    if (known?.order !== order) {
      this.#told.set(row.id, { pack: wanted.pack, order, segments: known?.segments ?? 0 });
      this.#feed.orderBegun(wanted);
    }
    if (row.state === "leased") this.#grew(row.id, row.attempt, row.progress.segments);
  }
}

function orderOf(row: LeasedBuild): PackOrder | undefined {
  if (row.ship === undefined) return undefined;
  const { wish } = row.ship;
  return {
    build: row.id,
    attempt: row.attempt,
    pack: packOf(row.id, row.attempt),
    service: row.service,
    targets: wish.overrideTargets ? wish.targets : row.progress.targets,
    excludedRegions: wish.excludedRegions,
    traceparent: row.traceparent,
    urgent: wish.urgent,
  };
}
