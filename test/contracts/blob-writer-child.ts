// The writer that a test kills in the middle of a put: puts one blob whole, sends 1 MiB of a second,
// says so, and never goes on.
import { once } from "node:events";
import { createServer } from "node:net";
import { openBlobStore } from "../../runtime/blobs/open-blob-store.ts";

const [url = "", whole = "", torn = ""] = process.argv.slice(2);
const store = await openBlobStore(url);
await store.put(whole, new Uint8Array(1 << 20));

// An open socket keeps the process alive; nobody connects.
const server = createServer().listen(0, "127.0.0.1");

async function* endless(): AsyncGenerator<Uint8Array> {
  yield new Uint8Array(1 << 20);
  console.log("writing");
  await once(server, "connection");
}

await store.put(torn, endless());
