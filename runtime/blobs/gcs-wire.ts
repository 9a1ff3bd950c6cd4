// Requests that carry blobs' bytes to and from GCS, over connections that are kept. The client library makes
// all others; its streams copy and hash in JavaScript, and lose errors that come between two of their parts.
import { type IncomingMessage, Agent as PlainAgent, request as plainRequest } from "node:http";
import { Agent, request } from "node:https";
import { GcsAnswerError } from "./gcs-failures.ts";

/** A connection that moves nothing for so long is given up. */
const SILENCE_MS_MAX = 30_000;
/** Connections at once; each put and each read has one at a time, and a relay has no more than that. */
const CONNECTIONS_MAX = 64;
/** Of an answer that tells of an error, so much is read. */
const ERROR_BYTES_MAX = 64 * 1024;

/** What is sent. */
export interface WireRequest {
  readonly method: "GET" | "PUT" | "DELETE";
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
}

/** Connections of one store. */
export class GcsWire {
  readonly #plain = new PlainAgent({ keepAlive: true, maxSockets: CONNECTIONS_MAX });
  readonly #secure = new Agent({
    keepAlive: true,
    maxSockets: CONNECTIONS_MAX,
    proxyEnv: process.env,
  });

  /** Sends it whole; resolves with the answer, whose body the caller reads or destroys. */
  async send({ method, url, headers, body }: WireRequest): Promise<IncomingMessage> {
    const isPlain = url.startsWith("http:");
    const sent = (isPlain ? plainRequest : request)(url, {
      method,
      agent: isPlain ? this.#plain : this.#secure,
      headers: { ...headers, ...(method === "PUT" && { "content-length": body?.length ?? 0 }) },
      timeout: SILENCE_MS_MAX,
    });
    return new Promise((resolve, reject) => {
      sent.on("timeout", () => {
        const error = new Error(`nothing came or went for ${SILENCE_MS_MAX} ms`);
        sent.destroy(Object.assign(error, { code: "ETIMEDOUT" }));
      });
      // Also after the answer, where the connection breaks before all is sent.
      sent.on("error", reject);
      sent.on("response", (answer) => {
        // Whoever reads it hears of errors; where nobody does any more, they are of no interest.
        answer.on("error", () => {});
        resolve(answer);
      });
      sent.end(body);
    });
  }

  /** Closes every connection. */
  close(): void {
    this.#plain.destroy();
    this.#secure.destroy();
  }
}

/** Reads the body of an answer that is not the one wanted, for the error to throw. */
export async function answerError(answer: IncomingMessage): Promise<GcsAnswerError> {
  return new GcsAnswerError(answer.statusCode ?? 0, await bodyText(answer));
}

/** The text of a short body; what is longer is cut. */
export async function bodyText(answer: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of answer as AsyncIterable<Buffer>) {
    parts.push(part);
    bytes += part.length;
    if (bytes > ERROR_BYTES_MAX) break;
  }
  return Buffer.concat(parts).toString("utf8");
}
