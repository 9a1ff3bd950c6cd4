// Cuts a stream of bytes into frames. It says where the next bytes of the stream belong, so that most of a
// block's payload is read from the socket right into its pooled buffer, and only what comes with a frame's
// head is copied. While the last block is being dealt with (`held`) the next one may arrive, but is not
// handed on; once that is whole, too, no more should be read.

import { decodeFrame } from "../../core/swarm/decode-frame.ts";
import {
  BLOCK_HEAD_BYTES,
  BLOCK_TYPE,
  blockHead,
  FRAME_HEAD_BYTES,
  type Frame,
  frameHead,
} from "../../core/swarm/frame.ts";
import type { Block } from "../../core/swarm/message.ts";
import type { BufferPool } from "./buffer-pool.ts";

/** For frames without payload, and the heads of blocks: 400 small frames in one read. */
const SCRATCH_BYTES = 8 * 1024;

const NOTHING = new Uint8Array(0);

/** Takes what was read; a block holds the reader until `release` is called. */
export interface FrameSink {
  frame(frame: Frame): void;
  /** `buffer` belongs to the sink, which gives it back to the pool; the payload are its first bytes. */
  block(block: Block, buffer: Buffer): void;
}

interface Payload {
  readonly block: Block;
  readonly buffer: Buffer;
  filled: number;
}

export class FrameReader {
  readonly #pool: BufferPool;
  readonly #sink: FrameSink;
  /** Bytes not taken yet are those from `used` to `filled`; grown when a frame needs more, up to its limit. */
  #scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES);
  #used = 0;
  #filled = 0;
  /** Of the frame that lies in the scratch in part. */
  #frameBytes = 0;
  #payload: Payload | undefined;
  /** The space given last lies in the payload. */
  #isDirect = false;
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

  /** True when a whole block waits here, so that no more should be read. */
  get isFull(): boolean {
    return this.#payload !== undefined && isWhole(this.#payload);
  }

  /** True in the middle of a frame. */
  get isMidFrame(): boolean {
    return this.#used < this.#filled || this.#payload !== undefined;
  }

  /** Where the next bytes of the stream belong, room for one at least; until `filled` is called. */
  space(): Buffer {
    const payload = this.#payload;
    if (payload !== undefined && !isWhole(payload)) {
      this.#isDirect = true;
      return payload.buffer.subarray(payload.filled, payload.block.bytes);
    }
    this.#isDirect = false;
    this.#makeRoom();
    return this.#scratch.subarray(this.#filled);
  }

  /** So many bytes lie at the start of the last space. Throws FrameError, after which it is of no further use. */
  filled(bytes: number): void {
    if (this.#isDirect && this.#payload !== undefined) this.#payload.filled += bytes;
    else this.#filled += bytes;
    this.#read();
  }

  /** Takes bytes of the stream that lie elsewhere. Throws FrameError as `filled` does. */
  push(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length && !this.#isEnded; ) {
      const space = this.space();
      const part = bytes.subarray(at, at + space.length);
      space.set(part);
      at += part.length;
      this.filled(part.length);
    }
  }

  /** The sink is done with the last block. Throws FrameError as `filled` does. */
  release(): void {
    this.#isHeld = false;
    this.#read();
  }

  /** Ends reading, and gives back the buffer that was being filled: nobody may write to a space any more. */
  end(): void {
    this.#isEnded = true;
    if (this.#payload !== undefined) this.#pool.give(this.#payload.buffer);
    this.#payload = undefined;
  }

  #read(): void {
    if (this.#isReading) return;
    this.#isReading = true;
    try {
      while (!this.#isEnded && this.#handOn() && this.#used < this.#filled) {
        if (this.#payload !== undefined) this.#fill(this.#payload);
        else if (!this.#readHead()) return;
      }
    } finally {
      this.#isReading = false;
    }
  }

  /** Hands on a whole block; false when one is ready and the sink is not. */
  #handOn(): boolean {
    const payload = this.#payload;
    if (payload === undefined || !isWhole(payload)) return true;
    if (this.#isHeld) return false;
    this.#payload = undefined;
    this.#isHeld = true;
    this.#framesRead += 1;
    this.#sink.block(payload.block, payload.buffer);
    return true;
  }

  /** Takes what came with the head of a block. */
  #fill(payload: Payload): void {
    const left = payload.block.bytes - payload.filled;
    const end = Math.min(this.#filled, this.#used + left);
    this.#scratch.copy(payload.buffer, payload.filled, this.#used, end);
    payload.filled += end - this.#used;
    this.#used = end;
  }

  /** Takes a frame, of a block what comes before its payload; false while it is not there. */
  #readHead(): boolean {
    const start = this.#used;
    const count = this.#filled - start;
    if (count < FRAME_HEAD_BYTES) return false;
    const { type, bodyBytes } = frameHead(this.#scratch, start);
    const length = type === BLOCK_TYPE ? BLOCK_HEAD_BYTES : FRAME_HEAD_BYTES + bodyBytes;
    this.#frameBytes = length;
    if (count < length) return false;
    this.#used += length;
    this.#frameBytes = 0;
    const isEmpty = length === FRAME_HEAD_BYTES;
    const body = start + FRAME_HEAD_BYTES;
    const fields = isEmpty ? NOTHING : this.#scratch.subarray(body, start + length);
    if (type === BLOCK_TYPE) {
      const { piece, offset, bytes } = blockHead(fields, bodyBytes);
      this.#payload = { block: { piece, offset, bytes }, buffer: this.#pool.take(), filled: 0 };
    } else {
      this.#framesRead += 1;
      this.#sink.frame(decodeFrame(type, fields));
    }
    return true;
  }

  /** Moves what is left to the front, into a larger scratch where it does not fit with what follows. */
  #makeRoom(): void {
    const left = this.#filled - this.#used;
    const needed = Math.max(left + 1, this.#frameBytes);
    if (needed > this.#scratch.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(needed, left + SCRATCH_BYTES));
      this.#scratch.copy(grown, 0, this.#used, this.#filled);
      this.#scratch = grown;
    } else if (this.#used > 0 && left > 0) this.#scratch.copyWithin(0, this.#used, this.#filled);
    this.#used = 0;
    this.#filled = left;
  }
}

const isWhole = ({ block, filled }: Payload): boolean => filled === block.bytes;
