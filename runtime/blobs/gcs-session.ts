// One resumable upload to GCS: chunks in order, each until GCS has it, going on from the byte that it says
// it has wherever a connection broke or an answer was lost. It knows nothing of where the bytes come from.
import type { IncomingMessage } from "node:http";
import { BlobUnavailableError } from "./blob-store.ts";
import type { GcsBucket, GcsObject } from "./gcs-bucket.ts";
import { Patience } from "./gcs-patience.ts";
import { answerError, bodyText, type GcsWire } from "./gcs-wire.ts";

/** What is known of an upload after a chunk: GCS wants more, has the object, or had one before. */
export type UploadState =
  | { readonly kind: "open" }
  | { readonly kind: "whole"; readonly object: GcsObject }
  | { readonly kind: "present" };

/** An upload that may go on with another try. */
class BrokenUploadError extends Error {
  override readonly name = "BrokenUploadError";
  readonly code = "ECONNRESET";
}

/** The last chunk of an upload; `hash` is the MD5 of the whole blob, as GCS writes it. */
export interface UploadEnd {
  readonly hash: string;
}

/** Takes the chunks of one blob. */
export class UploadSession {
  readonly #bucket: GcsBucket;
  readonly #wire: GcsWire;
  readonly #key: string;
  #url: string | undefined;
  /** Bytes that GCS is known to have. */
  #kept = 0;

  constructor(bucket: GcsBucket, wire: GcsWire, key: string) {
    this.#bucket = bucket;
    this.#wire = wire;
    this.#key = key;
  }

  /** Sends the bytes from `offset` on; resolves once GCS has them all. Their memory is free then. */
  async send(bytes: Uint8Array, offset: number, end?: UploadEnd): Promise<UploadState> {
    const patience = new Patience(this.#bucket.patienceMs);
    const until = offset + bytes.length;
    let isDoubtful = false;
    for (;;) {
      const before = this.#kept;
      try {
        const url = await this.#begin();
        const answer = await (isDoubtful
          ? this.#ask(url)
          : this.#put(url, bytes.subarray(this.#kept - offset), until, end));
        const state = await this.#read(answer, offset);
        if (state.kind !== "open") return state;
        if (end === undefined && this.#kept === until) return state;
        if (this.#kept > before) patience.progress();
        else if (!isDoubtful) throw new BrokenUploadError("it took nothing of what was sent");
        isDoubtful = false;
      } catch (error) {
        if ((error as { status?: unknown }).status === 412) return { kind: "present" };
        await patience.outlast(error);
        isDoubtful = this.#url !== undefined;
      }
    }
  }

  /** Tells GCS that no more will come; what it has is thrown away sooner then. */
  async abandon(): Promise<void> {
    if (this.#url === undefined) return;
    const request = { method: "DELETE", url: this.#url, headers: {} } as const;
    await this.#wire.send(request).then(
      (answer) => answer.resume(),
      // It forgets by itself after a week.
      () => {},
    );
  }

  async #begin(): Promise<string> {
    this.#url ??= await this.#bucket.beginUpload(this.#key);
    return this.#url;
  }

  #put(url: string, bytes: Uint8Array, until: number, end?: UploadEnd): Promise<IncomingMessage> {
    const range = bytes.length === 0 ? "*" : `${this.#kept}-${until - 1}`;
    const headers = {
      "content-range": `bytes ${range}/${end === undefined ? "*" : until}`,
      // GCS compares before anybody can see the object.
      ...(end && { "x-goog-hash": `md5=${end.hash}` }),
    };
    return this.#wire.send({ method: "PUT", url, headers, body: bytes });
  }

  /** Asks how much has come; after an end whose answer was lost, the answer is the object. */
  #ask(url: string): Promise<IncomingMessage> {
    return this.#wire.send({ method: "PUT", url, headers: { "content-range": "bytes */*" } });
  }

  async #read(answer: IncomingMessage, offset: number): Promise<UploadState> {
    switch (answer.statusCode) {
      case 200:
      case 201:
        return { kind: "whole", object: JSON.parse(await bodyText(answer)) as GcsObject };
      case 308: {
        answer.resume();
        const kept = Number(/^bytes=0-(\d+)$/.exec(answer.headers.range ?? "")?.[1] ?? -1) + 1;
        // What it said it had is not here any more, so it cannot be sent again.
        if (kept < offset) throw this.#lost(`has ${kept} bytes of ${offset} that it had`);
        this.#kept = kept;
        return { kind: "open" };
      }
      case 404:
      case 410: {
        const { message } = await answerError(answer);
        const what = `does not know its upload any more (${message})`;
        if (offset > 0) throw this.#lost(what);
        this.#url = undefined;
        this.#kept = 0;
        throw new BrokenUploadError(`it ${what}`);
      }
      default:
        throw await answerError(answer);
    }
  }

  #lost(how: string): Error {
    const { bucket } = this.#bucket.address;
    return new BlobUnavailableError(`cannot put blob ${this.#key} in gs://${bucket}: it ${how}`);
  }
}
