// A cloud for a whole system: fake-gcs-server over a folder, a front before it, and one bucket that the blobs
// of all programs lie in. It counts what leaves the origin, and verifies what the regions have.
import { join } from "node:path";
import type { BlobStore } from "../../runtime/blobs/blob-store.ts";
import { openBlobStore } from "../../runtime/blobs/open-blob-store.ts";
import { openPack } from "../../runtime/release/sealed-pack.ts";
import { FakeGcs } from "./fake-gcs.ts";
import { GcsFront } from "./gcs-front.ts";

const BUCKET = "fleet";
const PREFIX = "lab";

export class GcsCloud {
  readonly front: GcsFront;
  readonly #server: FakeGcs;
  readonly #stores: BlobStore[] = [];

  static async start(folder: string): Promise<GcsCloud> {
    const server = await FakeGcs.start(join(folder, "gcs"));
    await server.createBucket(BUCKET);
    return new GcsCloud(server, await GcsFront.listen(server.endpoint));
  }

  private constructor(server: FakeGcs, front: GcsFront) {
    this.#server = server;
    this.front = front;
  }

  /** What `up --blobs` takes. */
  get blobs(): string {
    return `gs://${BUCKET}/${PREFIX}?endpoint=${this.front.endpoint}`;
  }

  /** Bytes that left the origin, of all packs or of one, whoever fetched them. */
  originBytes(pack = ""): number {
    return this.front.fetchedBytes(`${PREFIX}/origin/packs/${pack}`);
  }

  /** Bytes that came to the regions, or to one: also what came again. */
  regionBytes(region = ""): number {
    return this.front.sentBytes(`${PREFIX}/regions/${region}`);
  }

  /** A store of the system, past the front: "origin", "regions/eu-west/store". */
  async store(name: string): Promise<BlobStore> {
    const url = `gs://${BUCKET}/${PREFIX}/${name}?endpoint=${this.#server.endpoint}`;
    const store = await openBlobStore(url);
    this.#stores.push(store);
    return store;
  }

  async close(): Promise<void> {
    await Promise.all(this.#stores.map((store) => store.close()));
    await this.front.close();
    await this.#server.kill();
  }
}

/** Bytes of a sealed pack whose every piece has its digest; throws where one has not. */
export async function verifiedBytes(store: BlobStore, id: string): Promise<number> {
  const pack = await openPack(store, id);
  for (let piece = 0; piece < pack.table.count; piece += 1) await pack.piece(piece);
  return pack.table.encodedTotalBytes;
}

/** Calls `strike` each time that the bytes which `count` gives pass the next of the thresholds. */
export function strikeAt(
  front: GcsFront,
  thresholds: readonly number[],
  count: () => number,
  strike: () => void,
): void {
  const left = thresholds.toSorted((a, b) => a - b);
  front.onTransfer = () => {
    if ((left[0] ?? Number.POSITIVE_INFINITY) > count()) return;
    left.shift();
    strike();
  };
}
