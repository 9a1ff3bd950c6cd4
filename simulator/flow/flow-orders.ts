// Orders to fetch packs while builds make them, as the machine of production gives them from the rows of builds. It
// keeps those that have not ended, for relays that connect later.
import { type BuildRow, packOf } from "../../core/builds/build-row.ts";
import { ShipOrders } from "../../core/builds/ship-orders.ts";
import type { FlowPack } from "./agent-packs.ts";

/** A pack that the machines of a service are to fetch. */
export interface FlowOrder {
  readonly pack: FlowPack;
  readonly service: string;
}

/** What relays are told. */
export type OrderNews =
  | { readonly kind: "begun"; readonly order: FlowOrder }
  | { readonly kind: "ended"; readonly order: FlowOrder; readonly isKept: boolean };

export class FlowOrders {
  readonly #orders = new ShipOrders();
  readonly #open = new Map<string, FlowOrder>();
  readonly #packs = new Map<string, FlowPack>();
  /** Packs that belong to releases. */
  readonly #kept = new Set<string>();
  readonly #bytesOf: (build: string) => number;
  readonly #tell: (news: OrderNews) => void;

  /** `bytesOf`: what the pack of a build will have, encoded. */
  constructor(bytesOf: (build: string) => number, tell: (news: OrderNews) => void) {
    this.#bytesOf = bytesOf;
    this.#tell = tell;
  }

  /** Orders that have not ended. */
  get open(): readonly FlowOrder[] {
    return [...this.#open.values()];
  }

  /** A pack that was ordered at any time. */
  pack(id: string): FlowPack | undefined {
    return this.#packs.get(id);
  }

  isKept(pack: string): boolean {
    return this.#kept.has(pack);
  }

  /** A build's row is this now. */
  row(row: BuildRow): void {
    for (const news of this.#orders.row(row)) {
      if (news.kind === "begun") this.#begin(row, news.order.service);
      else if (news.kind === "ended") this.#end(news.pack, news.kept);
    }
  }

  #begin({ id, attempt }: BuildRow, service: string): void {
    const pack = { id: packOf(id, attempt), bytes: this.#bytesOf(id) };
    const order = { pack, service };
    this.#open.set(pack.id, order);
    this.#packs.set(pack.id, pack);
    this.#tell({ kind: "begun", order });
  }

  #end(pack: string, isKept: boolean): void {
    const order = this.#open.get(pack);
    if (order === undefined) return;
    this.#open.delete(pack);
    if (isKept) this.#kept.add(pack);
    this.#tell({ kind: "ended", order, isKept });
  }
}
