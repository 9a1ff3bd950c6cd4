// gs: blob stores for tests: a bucket each, of a fake-gcs-server that all tests of a file share.
import { randomUUID } from "node:crypto";
import type { BlobStore } from "../../runtime/blobs/blob-store.ts";
import { openBlobStore } from "../../runtime/blobs/open-blob-store.ts";
import type { FakeGcs } from "../lab/fake-gcs.ts";
import type { OpenedBlobs } from "./opened-blobs.ts";

/** Opens a store below a prefix of a new bucket; `endpoint` is where programs find the server. */
export async function openGcsForTest(
  server: FakeGcs,
  endpoint = server.endpoint,
): Promise<OpenedBlobs> {
  const bucket = `test-${randomUUID()}`;
  await server.createBucket(bucket);
  const url = `gs://${bucket}/some/prefix?endpoint=${endpoint}`;
  let store = await openBlobStore(url);
  return {
    get store() {
      return store;
    },
    url,
    async reopen(): Promise<BlobStore> {
      await store.close();
      store = await openBlobStore(url);
      return store;
    },
    dispose: () => store.close(),
  };
}
