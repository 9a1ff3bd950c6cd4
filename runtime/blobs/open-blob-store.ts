// Opens a blob store by its URL, so that programs name a place and not a driver.
import { fileURLToPath } from "node:url";
import type { BlobStore } from "./blob-store.ts";
import { openFileBlobs } from "./file-blobs.ts";
import { parseGcsAddress } from "./gcs-address.ts";
import { type GcsOptions, openGcsBlobs } from "./gcs-blobs.ts";

/**
 * Opens `file:PATH`, `file:///PATH` or `gs://BUCKET/PREFIX`; throws for another scheme,
 * BlobUnavailableError if not usable. STORAGE_EMULATOR_HOST is where gs: is, if it is set,
 * `options` are for it alone.
 */
export async function openBlobStore(url: string, options: GcsOptions = {}): Promise<BlobStore> {
  if (url.startsWith("gs:")) {
    return openGcsBlobs(parseGcsAddress(url, process.env["STORAGE_EMULATOR_HOST"]), options);
  }
  if (url.startsWith("file://")) return openFileBlobs(fileURLToPath(url));
  const path = url.startsWith("file:") ? url.slice("file:".length) : "";
  if (path === "") {
    throw new Error(
      `blob store ${JSON.stringify(url)} is not known: give file:PATH or gs://BUCKET/PREFIX`,
    );
  }
  return openFileBlobs(path);
}
