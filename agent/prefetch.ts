// Fetches packs while they are being built, as core/fleet/prefetch-orders.ts says. Nothing is staged: what comes is kept
// for the assignment that follows, or dropped when the attempt came to nothing.
import { ORDER_HOLD_MS } from "../core/fleet/piece-cache.ts";
import { PrefetchOrders } from "../core/fleet/prefetch-orders.ts";
import { type Candidate, isTarget } from "../core/rollout/targets.ts";
import type { Order, OrderEnded } from "../proto/gen/millrace/v1/fleet.ts";
import type { Log } from "../runtime/log.ts";
import type { UrgentPacks } from "../runtime/release/urgent-packs.ts";
import { refusals } from "./refusals.ts";
import type { PackShelf } from "./swarm/pack-shelf.ts";

export class Prefetch {
  readonly #shelf: PackShelf;
  readonly #urgent: UrgentPacks;
  readonly #candidate: Candidate;
  readonly #log: Log;
  readonly #orders = new PrefetchOrders();
  readonly #refused = refusals();

  constructor(shelf: PackShelf, urgent: UrgentPacks, candidate: Candidate, log: Log) {
    this.#shelf = shelf;
    this.#urgent = urgent;
    this.#candidate = candidate;
    this.#log = log;
  }

  /** A relay begins its snapshot: orders that it does not name are over. */
  snapshotBegun(): void {
    this.#orders.snapshotBegun();
  }

  snapshotEnded(): void {
    for (const { id, pack } of this.#orders.snapshotEnded()) {
      this.#urgent.orderEnded(id);
      this.#shelf.release(pack, ORDER_HOLD_MS);
    }
    this.#shelf.urgencyChanged();
  }

  /** Begins to fetch, if the order is for this machine, or leaves it where it is no more. A repeat changes nothing. */
  ordered(order: Order): void {
    const { id, pack, epoch, targets, excludedRegions } = order;
    const isOurs = isTarget(this.#candidate, { labels: targets, excludedRegions });
    const verdict = this.#orders.ordered(order, isOurs);
    if (verdict === "refuse") {
      this.#log.warn({ id, epoch, highest: this.#orders.epoch }, "refused an order of old");
      this.#refused.add(1, { command: "order" });
      return;
    }
    this.#urgent.ordered(order);
    this.#shelf.urgencyChanged();
    if (verdict === "leave") this.#leave(pack, false);
    if (verdict !== "fetch") return;
    this.#shelf.take(pack).then(
      ({ swarm }) => swarm.want("all"),
      (error: unknown) => {
        this.#orders.ended(id);
        this.#log.warn({ pack, err: error }, "an order cannot be followed");
      },
    );
  }

  /** An order has ended, and its pack belongs to a release, or is of no use. */
  ended({ id, pack, keep }: OrderEnded): void {
    this.#urgent.orderEnded(id);
    this.#shelf.urgencyChanged();
    if (this.#orders.ended(id)) this.#leave(pack, keep);
  }

  #leave(pack: string, keep: boolean): void {
    this.#shelf.release(pack, keep ? ORDER_HOLD_MS : 0);
    if (keep) return;
    this.#shelf.drop(pack).catch((err: unknown) => {
      this.#log.warn({ pack, err }, "pieces of an order not dropped");
    });
  }
}
