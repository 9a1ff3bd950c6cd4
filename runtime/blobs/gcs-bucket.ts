// The bucket of a gs: store as the client library sees it: credentials, and the requests that carry no blob.
// The library is loaded here, and only where such a store is opened: it takes 0.2 s and 40 MB.
import type { Bucket, File, FileMetadata, Storage } from "@google-cloud/storage";
import { BLOB_LIST_MAX, type BlobHead } from "./blob-store.ts";
import type { GcsAddress } from "./gcs-address.ts";
import { isAbsent } from "./gcs-failures.ts";
import { Patience } from "./gcs-patience.ts";

/** Longest that a request which carries no blob may take. */
const REQUEST_MS_MAX = 30_000;

/** What an interceptor of the library gives back. */
type Decorated = ReturnType<Storage["interceptors"][number]["request"]>;

/** A page of a bucket's objects, by name. */
export interface GcsPage {
  readonly objects: readonly { readonly name: string; readonly bytes: number }[];
  /** Where the next page begins, to be handed to `list`. */
  readonly next: string | undefined;
}

/** One bucket; failures are those of library and network as they come. */
export class GcsBucket {
  readonly address: GcsAddress;
  /** How long an operation is tried again without progress. */
  readonly patienceMs: number;
  readonly #storage: Storage;
  readonly #bucket: Bucket;

  static async load(address: GcsAddress, patienceMs: number): Promise<GcsBucket> {
    const { Storage, IdempotencyStrategy } = await import("@google-cloud/storage");
    const { endpoint } = address;
    const storage = new Storage({
      apiEndpoint: endpoint,
      useAuthWithCustomEndpoint: endpoint.startsWith("https:"),
      timeout: REQUEST_MS_MAX,
      // Its settings for that are shared by all requests, which change them; `Patience` decides instead.
      retryOptions: { autoRetry: false, idempotencyStrategy: IdempotencyStrategy.RetryNever },
    });
    // Where STORAGE_EMULATOR_HOST is set, the library takes it for the base with the API's path in it.
    storage.baseUrl = `${endpoint}/storage/v1`;
    // What begins an upload takes its settings from here alone.
    storage.interceptors.push({
      request: (options) => Object.assign(options as Decorated, { timeout: REQUEST_MS_MAX }),
    });
    return new GcsBucket(address, patienceMs, storage);
  }

  private constructor(address: GcsAddress, patienceMs: number, storage: Storage) {
    this.address = address;
    this.patienceMs = patienceMs;
    this.#storage = storage;
    this.#bucket = storage.bucket(address.bucket);
  }

  /**
   * The headers that prove who we are; none where the endpoint gets no credentials. Rejects where there are
   * none: the library would go on as anybody.
   */
  async credentials(): Promise<Record<string, string>> {
    if (!this.address.endpoint.startsWith("https:")) return {};
    return this.#storage.authClient.getRequestHeaders();
  }

  /** The URL of a blob's bytes. */
  mediaUrl(key: string): string {
    const { bucket, endpoint } = this.address;
    const object = encodeURIComponent(this.#name(key));
    return `${endpoint}/storage/v1/b/${bucket}/o/${object}?alt=media`;
  }

  /** Key and size of a blob, or undefined where there is none. */
  async head(key: string): Promise<BlobHead | undefined> {
    try {
      const send = () => this.#file(key).getMetadata();
      const [{ size }] = await new Patience(this.patienceMs).untilDone(send);
      return { key, bytes: Number(size) };
    } catch (error) {
      if (isAbsent(error)) return undefined;
      throw error;
    }
  }

  /** A page of the objects whose names start with `prefix`, from `start` on in the order of bytes. */
  async list(prefix: string, start: string): Promise<GcsPage> {
    const query = {
      prefix: this.#name(prefix),
      startOffset: this.#name(start),
      maxResults: BLOB_LIST_MAX,
      autoPaginate: false,
    };
    const send = () => this.#bucket.getFiles(query);
    const [files, next] = await new Patience(this.patienceMs).untilDone(send);
    const cut = this.address.prefix.length;
    const objects = files.map(({ name, metadata }) => ({
      name: name.slice(cut),
      bytes: Number(metadata.size),
    }));
    const last = objects.at(-1)?.name;
    // No name lies between one and the same with a NUL behind it.
    return { objects, next: next === null || last === undefined ? undefined : `${last}\0` };
  }

  /** Deletes an object, whatever its generation or one of them; false where there was none. */
  async delete(key: string, generation?: string): Promise<boolean> {
    const patience = new Patience(this.patienceMs);
    const options = generation === undefined ? {} : { ifGenerationMatch: generation };
    for (let isAgain = false; ; isAgain = true) {
      try {
        await this.#file(key).delete(options);
        return true;
      } catch (error) {
        // Of a try whose answer was lost it is gone, too.
        if (isAbsent(error)) return isAgain;
        await patience.outlast(error);
      }
    }
  }

  /** Begins an upload to an object that must not exist at its end; the URL that takes its bytes. */
  async beginUpload(key: string): Promise<string> {
    const [url] = await this.#file(key).createResumableUpload({
      metadata: { contentType: "application/octet-stream" },
      preconditionOpts: { ifGenerationMatch: 0 },
    });
    return url;
  }

  #file(key: string): File {
    return this.#bucket.file(this.#name(key));
  }

  #name(key: string): string {
    return this.address.prefix + key;
  }
}

/** What GCS tells of an object once it is whole. */
export type GcsObject = Pick<FileMetadata, "generation" | "md5Hash" | "size">;
