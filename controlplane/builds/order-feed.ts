// Tells the fleet of the packs of builds to be shipped, as the rows and what workers say of them change.
import { type OrderNews, ShipOrders } from "../../core/builds/ship-orders.ts";
import type { LiveBuilds } from "./live-builds.ts";
import type { PackFeed } from "./pack-feed.ts";

/** Keeps the fleet told of packs that grow. */
export class OrderFeed {
  readonly #feed: PackFeed;
  readonly #orders = new ShipOrders();
  readonly #unsubscribe: readonly (() => void)[];

  constructor(feed: PackFeed, live: LiveBuilds) {
    this.#feed = feed;
    this.#unsubscribe = [
      live.onRow((row) => this.#tell(this.#orders.row(row))),
      live.onNews((build, attempt, { segments }) =>
        this.#tell(this.#orders.grew(build, attempt, segments)),
      ),
    ];
  }

  /** Tells nothing any more. */
  close(): void {
    for (const unsubscribe of this.#unsubscribe) unsubscribe();
  }

  #tell(news: readonly OrderNews[]): void {
    for (const one of news) {
      if (one.kind === "begun") this.#feed.orderBegun(one.order);
      else if (one.kind === "grew") this.#feed.packGrew(one.pack, one.segments);
      else this.#feed.orderEnded(one.pack, one.kept);
    }
  }
}
