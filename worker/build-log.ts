// The log of an attempt: a file that the build's processes write to themselves, and a sender that brings
// it to the control plane from the offset it has confirmed. A control plane that is away delays the log,
// never the build; a build that floods its log loses the rest of it, never the disk.
import { closeSync, fstatSync, ftruncateSync, openSync, readSync, writeSync } from "node:fs";
import { pause } from "../runtime/program/back-off.ts";

/** One append; the control plane takes as much. */
const APPEND_BYTES_MAX = 128 * 1024;

/** How often the file is looked at: a build that prints all the time makes four appends a second. */
const LOOK_MS = 250;

/** What of an attempt's log is kept; a build that prints 70 KB/s for 15 min has so much. */
export const LOG_BYTES_MAX = 64 * 1024 * 1024;

/**
 * Sends bytes that begin at `offset`, for as long as it takes; resolves with the log's length there, or
 * with undefined where nobody takes this log any more or `signal` was aborted.
 */
export type AppendLog = (
  offset: number,
  data: Buffer,
  signal: AbortSignal,
) => Promise<number | undefined>;

/** A log being written and sent. */
export class BuildLog {
  readonly #file: number;
  readonly #append: AppendLog;
  readonly #closed = new AbortController();
  readonly #abandoned = new AbortController();
  readonly #sending: Promise<void>;
  readonly #looking: NodeJS.Timeout;
  /** What follows the first LOG_BYTES_MAX: that the log was cut, and the worker's own lines. */
  #afterCut: Buffer | undefined;
  #sent = 0;

  constructor(path: string, append: AppendLog) {
    this.#file = openSync(path, "ax+");
    this.#append = append;
    this.#looking = setInterval(() => this.#cut(), LOOK_MS).unref();
    this.#sending = this.#send();
  }

  /** File to hand to processes as stdout and stderr; it is opened for appending. */
  get file(): number {
    return this.#file;
  }

  /** Adds the worker's own lines. A full disk loses them, not the attempt. */
  line(text: string): void {
    const lines = text.replace(/^/gm, "millrace: ");
    this.#cut();
    if (this.#afterCut !== undefined) {
      this.#afterCut = Buffer.concat([this.#afterCut, Buffer.from(`${lines}\n`)]);
      return;
    }
    try {
      writeSync(this.#file, `${lines}\n`);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === undefined) throw error;
    }
  }

  /** Sends what is left, giving up after `timeoutMs`, and closes the file. */
  async close(timeoutMs: number): Promise<void> {
    this.#closed.abort();
    const late = setTimeout(() => this.#abandoned.abort(), timeoutMs);
    await this.#sending;
    clearTimeout(late);
    clearInterval(this.#looking);
    closeSync(this.#file);
  }

  async #send(): Promise<void> {
    const buffer = Buffer.allocUnsafe(APPEND_BYTES_MAX);
    for (;;) {
      // Read before looking: what was written before the close is sent in any case.
      const closing = this.#closed.signal.aborted;
      const bytes = this.#readInto(buffer);
      if (bytes > 0) {
        const data = Buffer.from(buffer.subarray(0, bytes));
        const length = await this.#append(this.#sent, data, this.#abandoned.signal);
        if (length === undefined) return;
        this.#sent = length;
      }
      if (bytes === buffer.length) continue;
      if (closing && bytes === 0) return;
      if (!closing) await pause(LOOK_MS, this.#closed.signal);
    }
  }

  #readInto(buffer: Buffer): number {
    const left = LOG_BYTES_MAX - this.#sent;
    if (left > 0) return readSync(this.#file, buffer, 0, Math.min(buffer.length, left), this.#sent);
    return this.#afterCut?.copy(buffer, 0, -left) ?? 0;
  }

  /** Takes from the file what is too much; whoever writes to it goes on at its new end. */
  #cut(): void {
    if (fstatSync(this.#file).size <= LOG_BYTES_MAX) return;
    ftruncateSync(this.#file, LOG_BYTES_MAX);
    const note = `\nmillrace: the build's log is cut here, at ${LOG_BYTES_MAX} bytes\n`;
    this.#afterCut ??= Buffer.from(note);
  }
}
