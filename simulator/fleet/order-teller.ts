// The leader's part in pre-fetching: tells relays of packs that builds to be shipped are making, so that machines fetch
// them as they grow, as controlplane/builds/order-feed.ts and controlplane/fleet/pack-teller.ts do it.
import type { BuildRow } from "../../core/builds/build-row.ts";
import { type OrderNews, ShipOrders } from "../../core/builds/ship-orders.ts";
import { type LiveOrder, PackRegister } from "../../core/fleet/pack-register.ts";
import type { RelayCommand } from "./messages.ts";
import type { Process } from "./process.ts";
import { packNamed } from "./region-packs.ts";

export interface OrderTellerOptions {
  readonly epoch: number;
  readonly process: Process;
  /** Sends to all relays that are connected. */
  readonly tell: (command: RelayCommand) => void;
}

export class OrderTeller {
  readonly #options: OrderTellerOptions;
  readonly #orders = new ShipOrders();
  readonly #register = new PackRegister();

  constructor(options: OrderTellerOptions) {
    this.#options = options;
  }

  /** A build's row is this now. */
  row(row: BuildRow): void {
    for (const news of this.#orders.row(row)) this.#tell(news);
  }

  /** What a relay that has just come is told. */
  *snapshot(): Generator<RelayCommand, void, void> {
    for (const order of this.#register.orders) {
      yield this.#order(order);
      yield grown(order);
    }
  }

  #tell(news: OrderNews): void {
    const { process, tell } = this.#options;
    if (news.kind === "begun") {
      const live = this.#register.begun(news.order);
      tell(grown(live));
      tell(this.#order(live));
    } else if (news.kind === "grew") {
      const live = this.#register.grew(news.pack, news.segments);
      if (live !== undefined) tell(grown(live));
    } else if (this.#register.ended(news.pack, news.kept, process.now) !== undefined) {
      tell({ kind: "order-ended", id: news.pack, pack: packNamed(news.pack), keep: news.kept });
    }
  }

  #order({ pack, targets, excludedRegions }: LiveOrder): RelayCommand {
    const { epoch } = this.#options;
    return {
      kind: "order",
      order: { id: pack, pack: packNamed(pack), epoch, labels: targets, excludedRegions },
    };
  }
}

function grown({ pack, segments }: LiveOrder): RelayCommand {
  return { kind: "pack", pack: packNamed(pack), segments, sealed: false };
}
