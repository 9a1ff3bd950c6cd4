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
        const bytes = read.used === 0 ? read.bytes : read.bytes.subarray(read.used);
        read.used += this.#payload === undefined ? this.#readHead(bytes) : this.#fill(bytes);
        // A sink may have ended the reading.
        if (read.used < read.bytes.length || this.#unread[0] !== read) continue;
        this.#unread.shift();
        if (read.bytes.length >= READ_BYTES_FREED_MIN) freeMemory(read.bytes);
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

  #fill(bytes: Buffer): number {
    const payload = this.#payload as Payload;
    const count = Math.min(bytes.length, payload.block.bytes - payload.filled);
    bytes.copy(payload.buffer, payload.filled, 0, count);
    payload.filled += count;
    return count;
  }

  #readHead(bytes: Buffer): number {
    let used = this.#gather(bytes, 0, FRAME_HEAD_BYTES);
    if (this.#scratchFilled < FRAME_HEAD_BYTES) return used;
    const { type, bodyBytes } = frameHead(this.#scratch.subarray(0, FRAME_HEAD_BYTES));
    const end = type === BLOCK_TYPE ? BLOCK_HEAD_BYTES : FRAME_HEAD_BYTES + bodyBytes;
    used += this.#gather(bytes, used, end);
    if (this.#scratchFilled < end) return used;
    const fields = this.#scratch.subarray(FRAME_HEAD_BYTES, end);
    this.#scratchFilled = 0;
    if (type === BLOCK_TYPE) {
      const { piece, offset, bytes: length } = blockHead(fields, bodyBytes);
      const block = { piece, offset, bytes: length };
      this.#payload = { block, buffer: this.#pool.take(), filled: 0 };
    } else {
      this.#framesRead += 1;
      this.#sink.frame(decodeFrame(type, fields));
    }
    return used;
  }

  /** Copies into the scratch until it holds `end` bytes; returns how many it took. */
  #gather(bytes: Buffer, start: number, end: number): number {
    if (end > this.#scratch.length) {
      const grown = Buffer.allocUnsafeSlow(Math.min(FRAME_HEAD_BYTES + FRAME_BODY_BYTES_MAX, end));
      this.#scratch.copy(grown, 0, 0, this.#scratchFilled);
      this.#scratch = grown;
    }
    const count = Math.max(0, Math.min(bytes.length - start, end - this.#scratchFilled));
    bytes.copy(this.#scratch, this.#scratchFilled, start, start + count);
    this.#scratchFilled += count;
    return count;
  }
}
