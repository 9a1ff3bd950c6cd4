// Stands before fake-gcs-server. It gives uploads what GCS has and the server lacks (it ends an upload that is
// asked how far it got, and takes bytes twice that come twice), breaks what a test tells it to break, and
// counts what blobs' bytes are fetched. Everything else passes as it is.
import { once } from "node:events";
import {
  Agent,
  createServer,
  type IncomingMessage,
  request,
  type Server,
  type ServerResponse,
} from "node:http";
import type { AddressInfo } from "node:net";

/** GCS keeps whole units of an upload that broke. */
const UNIT_BYTES = 256 * 1024;

/** What a request is for: an upload begun, sent to, asked for or ended; a blob's bytes; anything else. */
export type FrontPurpose = "begin" | "put" | "ask" | "abandon" | "media" | "other";

/** What happens to a request instead of what should. */
export type FrontFault =
  /** It is answered so, and nothing is done. */
  | { readonly kind: "answer"; readonly status: number; readonly body?: string }
  /** The connection breaks after so many bytes of what is sent. */
  | { readonly kind: "cut-request"; readonly bytes: number }
  /** It is done, and its answer is lost. */
  | { readonly kind: "lose-answer" }
  /** The connection breaks after so many bytes of what is fetched. */
  | { readonly kind: "cut-answer"; readonly bytes: number }
  /** A bit turns around in what is sent or fetched. */
  | { readonly kind: "damage" };

/** Decides of each request, in the order in which they come. */
export type FrontRule = (purpose: FrontPurpose, path: string) => FrontFault | undefined;

interface Upload {
  kept: number;
  /** Requests of one upload are done one after the other, as some outlive their connection. */
  last: Promise<unknown>;
  /** The answer to its end, given to whoever asks again. */
  done?: { readonly status: number; readonly body: Buffer };
}

interface Sent {
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
  readonly body: Buffer;
}

/** A front before one server. */
export class GcsFront {
  /** Its URL, to be given as the endpoint of a store. */
  readonly endpoint: string;
  rule: FrontRule = () => undefined;
  /** Called after bytes of blobs came or went. */
  onTransfer = (): void => {};
  /** Bytes of each object that were fetched, and that came in uploads, also those that came again. */
  readonly #fetched = new Map<string, number>();
  readonly #sent = new Map<string, number>();
  readonly #server: Server;
  readonly #target: string;
  readonly #agent = new Agent({ keepAlive: true });
  readonly #uploads = new Map<string, Upload>();

  static async listen(target: string): Promise<GcsFront> {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    return new GcsFront(server, target);
  }

  private constructor(server: Server, target: string) {
    this.#server = server;
    this.#target = target;
    this.endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    server.on("request", (asked, answer) => {
      // A side that broke off gets no answer, and a server that is away gives none.
      this.#serve(asked, answer).catch(() => answer.destroy());
    });
  }

  /** Bytes that were fetched of objects whose names start so. */
  fetchedBytes(prefix = ""): number {
    return sumBelow(this.#fetched, prefix);
  }

  /** Bytes that came in uploads of objects whose names start so, counted anew where they came again. */
  sentBytes(prefix = ""): number {
    return sumBelow(this.#sent, prefix);
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    this.#agent.destroy();
    await once(this.#server.close(), "close");
  }

  async #serve(asked: IncomingMessage, answer: ServerResponse): Promise<void> {
    const purpose = purposeOf(asked);
    const fault = this.rule(purpose, asked.url ?? "");
    if (fault?.kind === "answer") {
      asked.resume();
      await once(asked, "end");
      answer.writeHead(fault.status, { "content-type": "application/json" }).end(fault.body);
      return;
    }
    if (purpose === "media") return this.#fetch(asked, answer, fault);
    const body = await received(asked, fault?.kind === "cut-request" ? fault.bytes : undefined);
    if (fault?.kind === "damage") flip(body);
    const sent =
      purpose === "put" || purpose === "ask"
        ? await this.#inTurn(asked, body)
        : await this.#pass(asked, asked.headers, body);
    if (!asked.complete || fault?.kind === "lose-answer") answer.destroy();
    else answer.writeHead(sent.status, sent.headers).end(sent.body);
  }

  #inTurn(asked: IncomingMessage, body: Buffer): Promise<Sent> {
    const id = new URL(asked.url ?? "", this.endpoint).searchParams.get("upload_id") ?? "";
    const upload = this.#uploads.get(id) ?? { kept: 0, last: Promise.resolve() };
    this.#uploads.set(id, upload);
    const sent = upload.last.then(() => this.#upload(upload, asked, body));
    upload.last = sent.catch(() => {});
    return sent;
  }

  /** Uploads as GCS takes them. */
  async #upload(upload: Upload, asked: IncomingMessage, body: Buffer): Promise<Sent> {
    this.#count(this.#sent, asked, body.length);
    const [, start, total] = /^bytes (\d+|\*)[^/]*\/(\d+|\*)$/.exec(range(asked)) ?? [];
    const isEnd = asked.complete && total !== "*";
    if (Number(start) > upload.kept) return { status: 400, headers: {}, body: Buffer.alloc(0) };
    if (upload.done === undefined && (isEnd || body.length > 0)) {
      // What is here already is not taken again, and of what broke off only whole units.
      const fresh = body.subarray(start === "*" ? 0 : upload.kept - Number(start));
      const units = Math.floor(fresh.length / UNIT_BYTES) * UNIT_BYTES;
      const taken = asked.complete ? fresh : fresh.subarray(0, units);
      const until = upload.kept + taken.length;
      const bytes = taken.length === 0 ? "*" : `${upload.kept}-${until - 1}`;
      if (taken.length > 0 || isEnd) {
        const headers = {
          ...asked.headers,
          "content-range": `bytes ${bytes}/${isEnd ? until : "*"}`,
        };
        const sent = await this.#pass(asked, headers, taken);
        if (sent.status === 308) upload.kept = until;
        else if (sent.status === 200) upload.done = sent;
        else return sent;
      }
    }
    if (upload.done !== undefined) return { headers: {}, ...upload.done };
    const kept = upload.kept === 0 ? {} : { range: `bytes=0-${upload.kept - 1}` };
    return { status: 308, headers: kept, body: Buffer.alloc(0) };
  }

  async #fetch(
    asked: IncomingMessage,
    answer: ServerResponse,
    fault: FrontFault | undefined,
  ): Promise<void> {
    const got = await this.#send(asked, asked.headers, Buffer.alloc(0));
    answer.on("close", () => got.destroy());
    answer.writeHead(got.statusCode ?? 0, got.headers);
    let left = fault?.kind === "cut-answer" ? fault.bytes : Number.POSITIVE_INFINITY;
    for await (const part of got as AsyncIterable<Buffer>) {
      if (fault?.kind === "damage") flip(part);
      const passed = part.subarray(0, left);
      left -= passed.length;
      this.#count(this.#fetched, asked, passed.length);
      if (!answer.write(passed)) await once(answer, "drain");
      if (left > 0) continue;
      answer.destroy();
      return;
    }
    answer.end();
  }

  #count(counts: Map<string, number>, asked: IncomingMessage, bytes: number): void {
    const { pathname, searchParams } = new URL(asked.url ?? "", this.endpoint);
    const name = searchParams.get("name") ?? decodeURIComponent(pathname.split("/o/")[1] ?? "");
    counts.set(name, (counts.get(name) ?? 0) + bytes);
    this.onTransfer();
  }

  async #pass(asked: IncomingMessage, headers: object, body: Buffer): Promise<Sent> {
    const got = await this.#send(asked, headers, body);
    const parts: Buffer[] = [];
    for await (const part of got as AsyncIterable<Buffer>) parts.push(part);
    return { status: got.statusCode ?? 0, headers: got.headers, body: Buffer.concat(parts) };
  }

  async #send(asked: IncomingMessage, headers: object, body: Buffer): Promise<IncomingMessage> {
    const { "transfer-encoding": _, ...kept } = headers as IncomingMessage["headers"];
    const sent = request(this.#target + asked.url, {
      method: asked.method,
      headers: { ...kept, "content-length": body.length },
      agent: this.#agent,
    });
    sent.end(body);
    const [got] = (await once(sent, "response")) as [IncomingMessage];
    return got;
  }
}

function purposeOf(asked: IncomingMessage): FrontPurpose {
  const url = asked.url ?? "";
  if (url.includes("upload_id=")) {
    if (asked.method === "DELETE") return "abandon";
    return range(asked) === "bytes */*" ? "ask" : "put";
  }
  if (url.includes("uploadType=resumable")) return "begin";
  return url.includes("alt=media") ? "media" : "other";
}

function range(asked: IncomingMessage): string {
  return asked.headers["content-range"] ?? "";
}

/** The body as far as it came, or as far as it may come: then the connection is broken. */
async function received(asked: IncomingMessage, bytesMax = Number.POSITIVE_INFINITY) {
  const parts: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const part of asked as AsyncIterable<Buffer>) {
      parts.push(part.subarray(0, bytesMax - bytes));
      bytes += part.length;
      if (bytes < bytesMax) continue;
      asked.destroy();
      break;
    }
  } catch {
    // It broke off: what came is what counts.
  }
  return Buffer.concat(parts);
}

function sumBelow(counts: ReadonlyMap<string, number>, prefix: string): number {
  let sum = 0;
  for (const [name, bytes] of counts) if (name.startsWith(prefix)) sum += bytes;
  return sum;
}

function flip(bytes: Buffer): void {
  if (bytes.length > 0) bytes[0] = (bytes[0] as number) ^ 1;
}
