// The writer of a test in which the file system fails: writes until a transaction is refused, and
// prints how many were acknowledged and what the refusal and the next two calls threw.
import { openStore } from "../../runtime/store/open-store.ts";

const TRIES_MAX = 1000;

const store = await openStore(process.argv[2] ?? "");
const errors: string[] = [];
let acknowledged = 0;

async function attempt(call: () => Promise<unknown>): Promise<boolean> {
  try {
    await call();
    return true;
  } catch (error) {
    errors.push(error instanceof Error ? error.name : String(error));
    return false;
  }
}

function write(): Promise<unknown> {
  const operations = [{ put: `k/${acknowledged}`, value: new Uint8Array(4000) }];
  return store.transact({ compares: [], operations });
}

while (acknowledged < TRIES_MAX && (await attempt(write))) acknowledged += 1;
await attempt(write);
await attempt(() => store.get("k/0"));
await store.close();
console.log(JSON.stringify({ acknowledged, errors }));
