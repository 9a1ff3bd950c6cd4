// Where a gs: store lies: a bucket, a prefix of its objects' names, and the endpoint that serves it.
import { BlobKeyError, blobPrefix } from "./blob-store.ts";

/** UTF-8 bytes of a prefix: a name of GCS has 1,024, a key 512. */
const PREFIX_BYTES_MAX = 500;
/** Where GCS itself is. */
const ENDPOINT_DEFAULT = "https://storage.googleapis.com";

/** A place for blobs in GCS, or in what speaks its JSON API. */
export interface GcsAddress {
  readonly bucket: string;
  /** Stands before every key: empty, or ends in "/". */
  readonly prefix: string;
  /** Scheme and host; one of plain http gets no credentials. */
  readonly endpoint: string;
}

/**
 * Reads `gs://BUCKET[/PREFIX][?endpoint=URL]`; `emulator` is the endpoint where the URL names none, a URL
 * or host:port. Throws an Error that names what is wrong.
 */
export function parseGcsAddress(url: string, emulator?: string): GcsAddress {
  const wrong = (what: string): Error =>
    new Error(`blob store ${JSON.stringify(url)}: ${what}; give gs://BUCKET or gs://BUCKET/PREFIX`);
  const [, place = "", query = ""] = /^gs:\/\/([^?]*)\??(.*)$/s.exec(url) ?? [];
  const slash = place.indexOf("/");
  const bucket = slash === -1 ? place : place.slice(0, slash);
  if (!/^[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]$/.test(bucket)) {
    throw wrong(`${JSON.stringify(bucket)} is no name of a bucket`);
  }
  const path = slash === -1 ? "" : place.slice(slash + 1).replace(/\/$/, "");
  const prefix = path === "" ? "" : `${path}/`;
  if (prefix.length > PREFIX_BYTES_MAX) {
    throw wrong(`its prefix has ${prefix.length} bytes, the limit is ${PREFIX_BYTES_MAX}`);
  }
  try {
    blobPrefix(prefix);
  } catch (error) {
    if (error instanceof BlobKeyError) throw wrong(error.message);
    throw error;
  }
  const parameters = new URLSearchParams(query);
  const given = parameters.get("endpoint") ?? emulator ?? ENDPOINT_DEFAULT;
  parameters.delete("endpoint");
  for (const name of parameters.keys()) throw wrong(`${JSON.stringify(name)} is no setting of it`);
  const endpoint = URL.parse(/^https?:\/\//.test(given) ? given : `http://${given}`);
  if (endpoint === null || endpoint.pathname !== "/" || endpoint.search !== "") {
    throw wrong(`the endpoint ${JSON.stringify(given)} is not http://HOST:PORT or https://HOST`);
  }
  return { bucket, prefix, endpoint: endpoint.origin };
}

/** The address as one URL, however it was written. */
export function placeOf({ bucket, prefix, endpoint }: GcsAddress): string {
  return `gs://${bucket}/${prefix}?endpoint=${endpoint}`;
}
