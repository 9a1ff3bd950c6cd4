// Cuts a stream of bytes into frames. The payload of a block goes straight into a pooled buffer, the
// only copy made here. While the last block is being dealt with (`held`) the next one may arrive, but
// is not handed on; bytes beyond it wait, which is the sign to stop reading the socket.

import { decodeFrame } from "../../core/swarm/decode-frame.ts";
import {
  BLOCK_HEAD_BYTES,
  BLOCK_TYPE,
  blockHead,
  FRAME_BODY_BYTES_MAX,
  FRAME_HEAD_BYTES,
  type Frame,
  frameHead,
} from "../../core/swarm/frame.ts";
import type { Block } from "../../core/swarm/message.ts";
import { freeMemory } from "../free-memory.ts";
import type { BufferPool } from "./buffer-pool.ts";

/** Smaller reads are left to the collector. */
const READ_BYTES_FREED_MIN = 16 * 1024;

const NOTHING = new Uint8Array(0);

/** Takes what was read; a block holds the reader until `release` is called. */
export interface FrameSink {
  frame(frame: Frame): void;
  /** `buffer` belongs to the sink, which gives it back to the pool; the payload are its first bytes. */
  block(block: Block, buffer: Buffer): void;
}

interface Read {
  readonly bytes: Buffer;
  used: number;
}

interface Payload {
  readonly block: Block;
  readonly buffer: Buffer;
  filled: number;
}

export class FrameReader {
  readonly #pool: BufferPool;
  readonly #sink: FrameSink;
  /** Head and fields of the frame being read; grown when a frame needs more, up to its limit. */
  #scratch = Buffer.allocUnsafeSlow(64);
  #scratchFilled = 0;
  #payload: Payload | undefined;
  readonly #unread: Read[] = [];
  #isHeld = false;
  #framesRead = 0;
  #isReading = false;
  #isEnded = false;

  constructor(pool: BufferPool, sink: FrameSink) {
    this.#pool = pool;
    this.#sink = sink;
  }

  /** True while a block is being dealt with by the sink. */
  get isHeld(): boolean {
    return this.#isHeld;
  }

  /** Frames handed on so far. */
  get framesRead(): number {
    return this.#framesRead;
  }

  /** True when bytes wait here, so that no more should be read. */
  get isFull(): boolean {
    return this.#unread.length > 0;
  }

  /** True in the middle of a frame. */
  get isMidFrame(): boolean {
    return this.#scratchFilled > 0 || this.#payload !== undefined;
  }

  /** Takes bytes of the stream, and their memory: the caller may not look at it again. Throws FrameError, after which it is of no further use. */
  push(bytes: Buffer): void {
    if (this.#isEnded) return;
    this.#unread.push({ bytes, used: 0 });
    this.#read();
  }

  /** The sink is done with the last block. Throws FrameError as `push` does. */
  release(): void {
    this.#isHeld = false;
    this.#read();
  }

  /** Ends reading, and gives back the buffer that was being filled. */
  end(): void {
    this.#isEnded = true;
    this.#unread.length = 0;
    if (this.#payload !== undefined) this.#pool.give(this.#payload.buffer);
    this.#payload = undefined;
  }

  #read(): void {
    if (this.#isReading) return;
    this.#isReading = true;
    try {
      while (!this.#isEnded && this.#handOn()) {
        const [read] = this.#unread;
        if (read === undefined) return;
        const { bytes, used } = read;
        read.used =
          this.#payload === undefined ? this.#readHead(bytes, used) : this.#fill(bytes, used);
        // A sink may have ended the reading.
        if (read.used < bytes.length || this.#unread[0] !== read) continue;
        this.#unread.shift();
        if (bytes.length >= READ_BYTES_FREED_MIN) freeMemory(bytes);
      }
    } finally {
      this.#isReading = false;
    }
  }

  /** Hands on a whole block; false when one is ready and the sink is not. */
  #handOn(): boolean {
    const payload = this.#payload;
    if (payload === undefined || payload.filled < payload.block.bytes) return true;
    if (this.#isHeld) return false;
    this.#payload = undefined;
    this.#isHeld = true;
    this.#framesRead += 1;
    this.#sink.block(payload.block, payload.buffer);
    return true;
  }

  /** Takes bytes of the payload from `at` on; returns where it stopped. */
  #fill(bytes: Buffer, at: number): number {
    const payload = this.#payload as Payload;
    const end = Math.min(bytes.length, at + payload.block.bytes - payload.filled);
    const isAll = at === 0 && end === bytes.length;
    payload.buffer.set(isAll ? bytes : bytes.subarray(at, end), payload.filled);
    payload.filled += end - at;
    return end;
  }

  /** Takes a frame from `at` on, of a block what comes before its payload; returns where it stopped. */
  #readHead(bytes: Buffer, at: number): number {
    if (this.#scratchFilled > 0 || bytes.length < at + FRAME_HEAD_BYTES) {
      return this.#gather(bytes, at);
    }
    const { type, bodyBytes } = frameHead(bytes, at);
    const end = at + (type === BLOCK_TYPE ? BLOCK_HEAD_BYTES : FRAME_HEAD_BYTES + bodyBytes);
    if (bytes.length < end) return this.#gather(bytes, at);
    this.#take(type, bodyBytes, bytes, at, end);
    return end;
  }

  /** Takes bytes of a frame that comes in parts. */
  #gather(bytes: Buffer, start: number): number {
    const at = this.#gatherUntil(bytes, start, FRAME_HEAD_BYTES);
    if (this.#scratchFilled < FRAME_HEAD_BYTES) return at;
    const { type, bodyBytes } = frameHead(this.#scratch);
    const end = type === BLOCK_TYPE ? BLOCK_HEAD_BYTES : FRAME_HEAD_BYTES + bodyBytes;
    const stop = this.#gatherUntil(bytes, at, end);
    if (this.#scratchFilled < end) return stop;
    this.#scratchFilled = 0;
    this.#take(type, bodyBytes, this.#scratch, 0, end);
    return stop;
  }

  #take(type: number, bodyBytes: number, bytes: Buffer, at: number, end: number): void {
    const start = at + FRAME_HEAD_BYTES;
    const fields = start === end ? NOTHING : bytes.subarray(start, end);
    if (type === BLOCK_TYPE) {
      const { piece, offset, bytes: length } = blockHead(fields, bodyBytes);
      const block = { piece, offset, bytes: length };
      this.#payload = { block, buffer: this.#pool.take(), filled: 0 };
    } else {
      this.#framesRead += 1;
      this.#sink.frame(decodeFrame(type, fields));
    }
  }

  /** Copies into the scratch until it holds `end` bytes; returns where it stopped. */
  #gatherUntil(bytes: Buffer, start: number, end: number): number {
    if (end > this.#scratch.length) {
      const grown = Buffer.allocUnsafeSlow(Math.min(FRAME_HEAD_BYTES + FRAME_BODY_BYTES_MAX, end));
      this.#scratch.copy(grown, 0, 0, this.#scratchFilled);
      this.#scratch = grown;
    }
    const count = Math.max(0, Math.min(bytes.length - start, end - this.#scratchFilled));
    bytes.copy(this.#scratch, this.#scratchFilled, start, start + count);
    this.#scratchFilled += count;
    return start + count;
  }
}
