// The log of an attempt: a file that the build's processes write to themselves, and a sender that brings
// it to the control plane from the offset it has confirmed. A control plane that is away delays the log,
// never the build.
import { closeSync, fstatSync, openSync, readSync, writeSync } from "node:fs";
import { pause } from "../runtime/program/back-off.ts";

/** One append; the control plane takes at most 128 KiB. */
const APPEND_BYTES_MAX = 64 * 1024;

/** How often the file is looked at. */
const LOOK_MS = 150;

/** More than this of one attempt is not sent. */
const LOG_BYTES_MAX = 64 * 1024 * 1024;

/**
 * Sends bytes that begin at `offset`, for as long as it takes; resolves with the log's length there, or
 * with undefined where nobody takes this log any more.
 */
export type AppendLog = (offset: number, data: Buffer) => Promise<number | undefined>;

/** A log being written and sent. */
export class BuildLog {
  readonly #file: number;
  readonly #append: AppendLog;
  readonly #closed = new AbortController();
  readonly #sending: Promise<void>;
  #sent = 0;
  #abandoned = false;

  constructor(path: string, append: AppendLog) {
    this.#file = openSync(path, "ax+");
    this.#append = append;
    this.#sending = this.#send();
  }

  /** File to hand to processes as stdout and stderr; it is opened for appending. */
  get file(): number {
    return this.#file;
  }

  /** Adds a line of the worker's own. */
  line(text: string): void {
    writeSync(this.#file, `millrace: ${text}\n`);
  }

  /** Sends what is left, giving up after `timeoutMs`, and closes the file. */
  async close(timeoutMs: number): Promise<void> {
    this.#closed.abort();
    const sent = new AbortController();
    const late = pause(timeoutMs, sent.signal).then(() => {
      this.#abandoned = true;
    });
    await Promise.race([this.#sending, late]);
    sent.abort();
    closeSync(this.#file);
  }

  async #send(): Promise<void> {
    const buffer = Buffer.allocUnsafe(APPEND_BYTES_MAX);
    for (;;) {
      // Read before looking: what was written before the close is sent in any case.
      const closing = this.#closed.signal.aborted;
      const bytes = this.#readInto(buffer);
      if (bytes > 0) {
        const sent = await this.#append(this.#sent, Buffer.from(buffer.subarray(0, bytes)));
        if (sent === undefined || this.#abandoned) return;
        this.#sent = sent;
      } else if (closing) {
        return;
      } else {
        await pause(LOOK_MS, this.#closed.signal);
      }
    }
  }

  #readInto(buffer: Buffer): number {
    const left = LOG_BYTES_MAX - this.#sent;
    const length = fstatSync(this.#file).size;
    if (left <= 0 || length <= this.#sent) return 0;
    const bytes = readSync(this.#file, buffer, 0, Math.min(buffer.length, left), this.#sent);
    if (bytes < left) return bytes;
    const note = Buffer.from(`\nmillrace: log cut at ${LOG_BYTES_MAX} bytes\n`);
    note.copy(buffer, Math.max(0, bytes - note.length));
    return bytes;
  }
}
