// Opens a blob store by its URL, so that programs name a place and not a driver.
import { fileURLToPath } from "node:url";
import type { BlobStore } from "./blob-store.ts";
import { openFileBlobs } from "./file-blobs.ts";

/** Opens `file:PATH` or `file:///PATH`; throws for another scheme, BlobUnavailableError if not usable. */
export async function openBlobStore(url: string): Promise<BlobStore> {
  if (url.startsWith("file://")) return openFileBlobs(fileURLToPath(url));
  const path = url.startsWith("file:") ? url.slice("file:".length) : "";
  if (path === "") {
    throw new Error(`blob store ${JSON.stringify(url)} is not known: give file:PATH`);
  }
  return openFileBlobs(path);
}
