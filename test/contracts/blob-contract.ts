// The contract of the blob store, for every driver: files today, others with the same words later.
import { describe } from "node:test";
import { blobReadCases } from "./blob-reads.ts";
import { blobWriteCases } from "./blob-writes.ts";
import type { OpenBlobs } from "./opened-blobs.ts";

/** Registers the whole suite for a driver; each case opens a store of its own. */
export function blobContract(name: string, open: OpenBlobs): void {
  describe(`blob store contract: ${name}`, () => {
    blobReadCases(open);
    blobWriteCases(open);
  });
}
