// Which packs a machine fetches under orders, before it knows whether it will need them: from an order to its end, as far
// as leaders of now and the newest snapshot name it. What is fetched and dropped is others' business.

/** One a service that is being shipped: 20 at once, with attempts that overlap. */
const ORDERS_MAX = 64;

/** `refuse`: it is of an earlier leader; `leave`: it was followed, and is for others now. */
export type OrderVerdict = "refuse" | "fetch" | "leave" | "nothing";

/** The orders that one machine follows. */
export class PrefetchOrders {
  /** Packs by order. */
  readonly #orders = new Map<string, string>();
  /** Orders that the snapshot under way has named. */
  #named: Set<string> | undefined = new Set();
  #epoch = 0;

  /** The highest epoch of an order that was followed. */
  get epoch(): number {
    return this.#epoch;
  }

  /** Packs of the orders that are followed. */
  get packs(): readonly string[] {
    return [...this.#orders.values()];
  }

  /** A relay begins its snapshot: orders that it does not name are over. */
  snapshotBegun(): void {
    this.#named = new Set();
  }

  /** Orders that are over, with their packs, which may be needed soon all the same. */
  snapshotEnded(): readonly { readonly id: string; readonly pack: string }[] {
    const named = this.#named ?? new Set();
    this.#named = undefined;
    const over = [...this.#orders].filter(([id]) => !named.has(id));
    for (const [id] of over) this.#orders.delete(id);
    return over.map(([id, pack]) => ({ id, pack }));
  }

  /** An order came; `isOurs`: it is for this machine. A repeat changes nothing. */
  ordered(
    { id, pack, epoch }: { readonly id: string; readonly pack: string; readonly epoch: number },
    isOurs: boolean,
  ): OrderVerdict {
    if (epoch < this.#epoch) return "refuse";
    this.#epoch = epoch;
    this.#named?.add(id);
    if (!isOurs) return this.#orders.delete(id) ? "leave" : "nothing";
    if (this.#orders.has(id) || this.#orders.size >= ORDERS_MAX) return "nothing";
    this.#orders.set(id, pack);
    return "fetch";
  }

  /** An order has ended, or cannot be followed; false: it was not followed. */
  ended(id: string): boolean {
    return this.#orders.delete(id);
  }
}
