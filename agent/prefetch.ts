// Orders to fetch a pack while it is being built. Nothing is staged: what comes is kept for the
// assignment that follows, or dropped when the attempt came to nothing.
import { type Candidate, isTarget } from "../core/rollout/targets.ts";
import type { Order, OrderEnded } from "../proto/gen/millrace/v1/fleet.ts";
import type { Log } from "../runtime/log.ts";
import type { UrgentPacks } from "../runtime/release/urgent-packs.ts";
import { refusals } from "./refusals.ts";
import type { PackShelf } from "./swarm/pack-shelf.ts";

/** Until the assignment comes: the replication gate has 10 min at most. */
const HOLD_MS = 900_000;
/** One a service that is being shipped: 20 at once, with attempts that overlap. */
const ORDERS_MAX = 64;

export class Prefetch {
  readonly #shelf: PackShelf;
  readonly #urgent: UrgentPacks;
  readonly #candidate: Candidate;
  readonly #log: Log;
  /** Packs by order. */
  readonly #orders = new Map<string, string>();
  /** Orders that the snapshot under way has named. */
  #named: Set<string> | undefined = new Set();
  readonly #refused = refusals();
  #epoch = 0;

  constructor(shelf: PackShelf, urgent: UrgentPacks, candidate: Candidate, log: Log) {
    this.#shelf = shelf;
    this.#urgent = urgent;
    this.#candidate = candidate;
    this.#log = log;
  }

  /** A relay begins its snapshot: orders that it does not name are over. */
  snapshotBegun(): void {
    this.#named = new Set();
  }

  snapshotEnded(): void {
    const named = this.#named ?? new Set();
    this.#named = undefined;
    for (const [id, pack] of this.#orders) {
      if (named.has(id)) continue;
      this.#orders.delete(id);
      this.#urgent.orderEnded(id);
      this.#shelf.release(pack, HOLD_MS);
    }
    this.#shelf.urgencyChanged();
  }

  /** Begins to fetch, if the order is for this machine. A repeat changes nothing. */
  ordered(order: Order): void {
    const { id, pack, epoch, targets, excludedRegions } = order;
    if (epoch < this.#epoch) {
      this.#log.warn({ id, epoch, highest: this.#epoch }, "refused an order of old");
      this.#refused.add(1, { command: "order" });
      return;
    }
    this.#epoch = epoch;
    this.#named?.add(id);
    this.#urgent.ordered(order);
    this.#shelf.urgencyChanged();
    if (this.#orders.has(id) || this.#orders.size >= ORDERS_MAX) return;
    if (!isTarget(this.#candidate, { labels: targets, excludedRegions })) return;
    this.#orders.set(id, pack);
    this.#shelf.take(pack).then(
      ({ swarm }) => swarm.want("all"),
      (error: unknown) => {
        this.#orders.delete(id);
        this.#log.warn({ pack, err: error }, "an order cannot be followed");
      },
    );
  }

  async ended({ id, pack, keep }: OrderEnded): Promise<void> {
    this.#urgent.orderEnded(id);
    this.#shelf.urgencyChanged();
    if (!this.#orders.delete(id)) return;
    this.#shelf.release(pack, keep ? HOLD_MS : 0);
    if (!keep) await this.#shelf.drop(pack);
  }
}
