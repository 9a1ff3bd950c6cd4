// The orders that a simulated relay passes on to its machines, in memory as relay/assignment-book.ts keeps them: a
// restarted relay hears of them by its leader's snapshot, and what that does not name is over.
import type { Order, RelayTells } from "./messages.ts";

export interface RelayOrdersOptions {
  /** Sends to all machines that are connected. */
  readonly tell: (message: RelayTells) => void;
  /** The pack of an order that came to nothing is of no use. */
  readonly onDropped: (pack: string) => void;
}

export class RelayOrders {
  readonly #options: RelayOrdersOptions;
  readonly #orders = new Map<string, Order>();
  /** Orders and sealed packs that the snapshot under way has named. */
  #named: Set<string> | undefined;

  constructor(options: RelayOrdersOptions) {
    this.#options = options;
  }

  get all(): Iterable<Order> {
    return this.#orders.values();
  }

  /** A leader's snapshot begins. */
  begin(): void {
    this.#named = new Set();
  }

  /** A pack is needed whole, whatever becomes of its order. */
  needed(pack: string): void {
    this.#named?.add(pack);
  }

  ordered(order: Order): void {
    this.#named?.add(order.id);
    this.#orders.set(order.id, order);
    this.#options.tell({ kind: "order", order });
  }

  ended(id: string, pack: string, keep: boolean): void {
    this.#orders.delete(id);
    this.#options.tell({ kind: "order-ended", id, pack, keep });
    if (!keep) this.#options.onDropped(pack);
  }

  /** The snapshot is whole. */
  end(): void {
    const named = this.#named ?? new Set();
    this.#named = undefined;
    for (const { id, pack } of [...this.#orders.values()]) {
      if (!named.has(id)) this.ended(id, pack, named.has(pack));
    }
  }
}
