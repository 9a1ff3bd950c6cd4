// Opens the file: driver for a test, in a temporary folder.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openBlobStore } from "../../runtime/blobs/open-blob-store.ts";
import type { OpenedBlobs } from "./opened-blobs.ts";

/** An empty file: store, and where its files are. */
export async function openFilesForTest(): Promise<OpenedBlobs & { readonly root: string }> {
  const folder = await mkdtemp(join(tmpdir(), "millrace-blobs-"));
  const root = join(folder, "new", "blobs");
  const url = `file:${root}`;
  let store = await openBlobStore(url);
  return {
    store,
    root,
    url,
    reopen: async () => {
      await store.close();
      store = await openBlobStore(url);
      return store;
    },
    dispose: async () => {
      await store.close();
      await rm(folder, { recursive: true });
    },
  };
}
