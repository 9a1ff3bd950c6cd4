// The contract of the store, for every driver: SQLite today, others with the same words later.
import { describe } from "node:test";
import type { OpenStore } from "./opened-store.ts";
import { durabilityCases } from "./store-durability.ts";
import { propertyCases } from "./store-properties.ts";
import { rangeCases } from "./store-ranges.ts";
import { transactionCases } from "./store-transactions.ts";
import { leaseCases, watchCases } from "./store-watches.ts";

/** Registers the whole suite for a driver; each case opens a store of its own. */
export function storeContract(name: string, open: OpenStore): void {
  describe(`store contract: ${name}`, () => {
    transactionCases(open);
    rangeCases(open);
    watchCases(open);
    leaseCases(open);
    durabilityCases(open);
    propertyCases(open);
  });
}
