// What the fleet is told of the packs that builds to be shipped are making, so that relays and agents fetch while they
// grow: begun, grown, ended. Level-triggered: it compares each row with what it told last. Sending is not its business.
import type { Labels } from "../rollout/targets.ts";
import { type BuildRow, hasRecipe, type LeasedBuild, packOf } from "./build-row.ts";

/** An attempt whose pack is wanted before it is whole. */
export interface PackOrder {
  readonly build: string;
  readonly attempt: number;
  /** `<build>.<attempt>`; names the order too. */
  readonly pack: string;
  readonly service: string;
  /** Labels the rollout is for; empty: all machines. */
  readonly targets: Labels;
  readonly excludedRegions: readonly string[];
  /** W3C trace context of the request. */
  readonly traceparent: string;
  /** It goes before other packs. */
  readonly urgent: boolean;
}

export type OrderNews =
  /** It became known what an attempt leased with ship is for, or that changed, or this leader began. */
  | { readonly kind: "begun"; readonly order: PackOrder }
  /** So many segments of the pack lie at the origin, whole; never goes down. */
  | { readonly kind: "grew"; readonly pack: string; readonly segments: number }
  /** The attempt has ended; `kept`: its pack belongs to a release now. */
  | { readonly kind: "ended"; readonly pack: string; readonly kept: boolean };

interface Told {
  readonly pack: string;
  readonly order: string;
  segments: number;
}

/** Orders of one leader. */
export class ShipOrders {
  readonly #told = new Map<string, Told>();

  /** A build's row is this now. */
  row(row: BuildRow): readonly OrderNews[] {
    const news: OrderNews[] = [];
    const wanted = row.state === "leased" && !row.cancelling ? orderOf(row) : undefined;
    const before = this.#told.get(row.id);
    if (before !== undefined && before.pack !== wanted?.pack) {
      this.#told.delete(row.id);
      const kept = row.state === "succeeded" && packOf(row.id, row.attempt) === before.pack;
      news.push({ kind: "ended", pack: before.pack, kept });
    }
    if (wanted === undefined) return news;
    const order = JSON.stringify(wanted);
    const known = this.#told.get(row.id);
    if (known?.order !== order) {
      this.#told.set(row.id, { pack: wanted.pack, order, segments: known?.segments ?? 0 });
      news.push({ kind: "begun", order: wanted });
    }
    if (row.state === "leased") {
      news.push(...this.grew(row.id, row.attempt, row.progress.segments));
    }
    return news;
  }

  /** So many segments of an attempt's pack lie at the origin; nothing where nobody pre-fetches it. */
  grew(build: string, attempt: number, segments: number): readonly OrderNews[] {
    const told = this.#told.get(build);
    if (told?.pack !== packOf(build, attempt) || segments <= told.segments) return [];
    told.segments = segments;
    return [{ kind: "grew", pack: told.pack, segments }];
  }
}

function orderOf(row: LeasedBuild): PackOrder | undefined {
  if (row.ship === undefined) return undefined;
  const { wish } = row.ship;
  // Until the recipe has been read there is nothing to fetch, and who is told too much fetches too much.
  if (!wish.overrideTargets && !hasRecipe(row)) return undefined;
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
