// The writer that a durability test kills: puts pairs of keys, eight transactions at once, and prints
// a pair's name once its transaction is acknowledged. It never ends by itself.
import { randomUUID } from "node:crypto";
import { writeSync } from "node:fs";
import { openStore } from "../../runtime/store/open-store.ts";

const CONCURRENCY = 8;

const store = await openStore(process.argv[2] ?? "");
const value = new Uint8Array(500);

async function write(): Promise<never> {
  while (true) {
    const name = randomUUID();
    const operations = [
      { put: `left/${name}`, value },
      { put: `right/${name}`, value },
    ];
    await store.transact({ compares: [], operations });
    writeSync(1, `${name}\n`);
  }
}

await Promise.all(Array.from({ length: CONCURRENCY }, write));
