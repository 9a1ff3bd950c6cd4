// One TCP connection between two peers for one pack: frames in, frames and blocks out, with a limit on
// everything that a peer could make us wait for or hold. Who is at the other end, and what frames
// mean, is its owner's business; its timers are run by the owner's `tick`.
import type { Socket } from "node:net";
import type { Instant } from "../../core/machine.ts";
import { encodeFrame } from "../../core/swarm/encode-frame.ts";
import { type Frame, FrameError } from "../../core/swarm/frame.ts";
import type { Block } from "../../core/swarm/message.ts";
import type { BufferPool } from "./buffer-pool.ts";
import { readDirectly } from "./direct-socket.ts";
import { FrameReader } from "./frame-reader.ts";
import { settle } from "./settle.ts";

/** From the start of a connection to the other's hello. */
const HELLO_MS_MAX = 10_000;
/** Without a byte from the other side: it sends `alive` three times in it. */
const IDLE_MS_MAX = 60_000;
/** After so long without a frame from us we send `alive`. */
const ALIVE_MS = 20_000;
/** For one frame, from its first byte to its last: 384 KiB in 20 s is 20 KB/s. */
const FRAME_MS_MAX = 20_000;
/** For the last bytes to leave, when we close. */
const CLOSE_MS_MAX = 2_000;
/** Bytes that wait to be sent: two blocks, and 256 KiB of small frames (15,000 requests). */
const UNSENT_BYTES_MAX = 1024 * 1024;

const NOTHING = new Uint8Array(0);

export interface ConnectionEvents {
  frame(frame: Frame): void;
  /** A block has arrived; `connection.release(buffer)` ends what is done with it. */
  block(block: Block, buffer: Buffer): void;
  /** The connection is over, for the reason that is known; called once. */
  closed(reason: string): void;
}

export interface ConnectionOptions {
  readonly pool: BufferPool;
  readonly now: () => Instant;
  /** We dialled it. */
  readonly isOutgoing: boolean;
  /** Called once when the socket is gone, whoever closed it. */
  readonly ended: (connection: Connection) => void;
}

export class Connection {
  readonly isOutgoing: boolean;
  readonly #socket: Socket;
  readonly #pool: BufferPool;
  readonly #reader: FrameReader;
  readonly #now: () => Instant;
  readonly #ended: (connection: Connection) => void;
  #events: ConnectionEvents | undefined;
  /** The other side's hello was taken. */
  #isGreeted = false;
  readonly #openedAt: Instant;
  #readAt: Instant;
  #sentAt: Instant;
  #frameSince: Instant;
  #closingSince: Instant | undefined;
  #reason = "closed by peer";
  /** Small frames of this turn of the event loop: together they are one packet. */
  #unflushed: Uint8Array[] = [];
  #unflushedBytes = 0;
  /** Reads of blocks under way, of which none overtakes another, so that they leave in order. */
  #reading: Promise<void> | undefined;

  constructor(socket: Socket, options: ConnectionOptions, events: ConnectionEvents) {
    this.#pool = options.pool;
    this.#now = options.now;
    this.isOutgoing = options.isOutgoing;
    this.#ended = options.ended;
    this.#events = events;
    this.#openedAt = this.#now();
    this.#readAt = this.#openedAt;
    this.#sentAt = this.#openedAt;
    this.#frameSince = this.#openedAt;
    this.#reader = new FrameReader(this.#pool, {
      frame: (frame) => this.#events?.frame(frame),
      block: (block, buffer) => {
        if (this.#events === undefined) this.#pool.give(buffer);
        else this.#events.block(block, buffer);
      },
    });
    this.#socket = readDirectly(socket, {
      space: () => this.#reader.space(),
      filled: (bytes) => this.#take(() => this.#reader.filled(bytes)),
      early: (bytes) => void this.#take(() => this.#reader.push(bytes)),
    });
    this.#socket.setNoDelay(true);
    this.#socket.on("error", (error) => {
      if (this.#closingSince === undefined) this.#reason = error.message;
    });
    this.#socket.on("end", () => this.#socket.destroy());
    this.#socket.on("close", () => this.#end());
  }

  /** True until the other side has said who it is. */
  get isStranger(): boolean {
    return !this.#isGreeted;
  }

  /** The other side has said who it is. */
  greeted(events: ConnectionEvents): void {
    this.#isGreeted = true;
    this.#events = events;
  }

  /** Sends a frame, at the end of this turn of the event loop or before the next block. */
  send(frame: Frame): void {
    if (this.#isOver) return;
    const bytes = encodeFrame(frame);
    if (this.#unflushed.push(bytes) === 1) setImmediate(() => this.#flush());
    this.#unflushedBytes += bytes.length;
    this.#limitUnsent();
  }

  /**
   * Sends a block that `read` puts into the buffer. `done` is called when its bytes have left this
   * process, or when the connection is over; with the error when `read` fails.
   */
  sendBlock(
    block: Block,
    read: (target: Buffer) => void | Promise<void>,
    done: (error?: unknown) => void,
  ): void {
    const buffer = this.#pool.take();
    const payload = buffer.subarray(0, block.bytes);
    const end = (error?: unknown) => {
      this.#pool.give(buffer);
      done(error);
    };
    const leave = () => this.#writeBlock(block, payload, end);
    if (this.#reading === undefined) {
      settle(() => read(payload), { done: leave, failed: end, waiting: this.#track });
    } else this.#track(this.#reading.then(() => read(payload)).then(leave, end));
  }

  readonly #track = (reading: Promise<void>): void => {
    this.#reading = reading;
    void reading.then(() => {
      if (this.#reading === reading) this.#reading = undefined;
    });
  };

  #writeBlock(block: Block, payload: Buffer, left: () => void): void {
    if (this.#isOver) {
      left();
      return;
    }
    this.#sentAt = this.#now();
    // Fields one by one here and where blocks arrive: a spread behind another field is a slow path of V8.
    const { piece, offset, bytes } = block;
    this.#unflushed.push(encodeFrame({ kind: "block", piece, offset, bytes }));
    this.#socket.cork();
    this.#socket.write(this.#takeUnflushed());
    this.#socket.write(payload);
    this.#socket.uncork();
    // Mostly all has left by now; a callback of its own would cost as much as the rest of a write.
    if (this.#socket.writableLength === 0) left();
    else this.#socket.write(NOTHING, () => left());
    this.#limitUnsent();
  }

  #flush(): void {
    if (this.#unflushed.length === 0 || this.#isOver) return;
    this.#sentAt = this.#now();
    this.#socket.write(this.#takeUnflushed());
    this.#limitUnsent();
  }

  #takeUnflushed(): Uint8Array {
    const frames = this.#unflushed;
    this.#unflushed = [];
    this.#unflushedBytes = 0;
    return frames.length === 1 ? (frames[0] as Uint8Array) : Buffer.concat(frames);
  }

  get #isOver(): boolean {
    return this.#socket.destroyed || this.#closingSince !== undefined;
  }

  /** What was to be done with the last block is done: its buffer is free, the next may come. */
  release(buffer: Buffer): void {
    this.#pool.give(buffer);
    this.#frameSince = this.#now();
    this.#readAt = this.#now();
    this.#feed(() => this.#reader.release());
    if (!this.#reader.isFull) this.#socket.resume();
  }

  /** Says goodbye and closes; nothing is heard of it any more. */
  close(reason: string): void {
    if (this.#closingSince !== undefined) return;
    this.#flush();
    this.#closingSince = this.#now();
    this.#reason = reason;
    this.#events = undefined;
    this.#socket.write(encodeFrame({ kind: "bye", reason }));
    this.#socket.destroySoon();
  }

  /** Ends it at once. */
  destroy(): void {
    this.#destroy("destroyed here");
  }

  /** Ends what took too long; called every second or so. */
  tick(now: Instant): void {
    if (this.#closingSince !== undefined) {
      if (now - this.#closingSince > CLOSE_MS_MAX) this.#socket.destroy();
    } else if (!this.#isGreeted && now - this.#openedAt > HELLO_MS_MAX) {
      this.#destroy(`no hello in ${HELLO_MS_MAX} ms`);
    } else if (!this.#reader.isHeld && now - this.#readAt > IDLE_MS_MAX) {
      this.#destroy(`idle for ${IDLE_MS_MAX} ms`);
    } else if (this.#isFrameOverdue(now)) {
      this.#destroy(`a frame took more than ${FRAME_MS_MAX} ms`);
    } else if (this.#isGreeted && now - this.#sentAt > ALIVE_MS) {
      this.send({ kind: "alive" });
    }
  }

  #isFrameOverdue(now: Instant): boolean {
    if (this.#reader.isHeld || !this.#reader.isMidFrame) return false;
    return now - this.#frameSince > FRAME_MS_MAX;
  }

  /** Has the reader take bytes; whether more may be read. */
  #take(read: () => void): boolean {
    if (this.#closingSince !== undefined) return true;
    this.#readAt = this.#now();
    const framesBefore = this.#reader.framesRead;
    const wasMidFrame = this.#reader.isMidFrame;
    this.#feed(read);
    if (!wasMidFrame || this.#reader.framesRead > framesBefore) this.#frameSince = this.#readAt;
    return !this.#reader.isFull;
  }

  #limitUnsent(): void {
    const bytes = this.#socket.writableLength + this.#unflushedBytes;
    if (bytes > UNSENT_BYTES_MAX) this.#destroy("peer reads nothing");
  }

  #feed(read: () => void): void {
    try {
      read();
    } catch (error) {
      if (!(error instanceof FrameError)) throw error;
      this.#destroy(error.message);
    }
  }

  #destroy(reason: string): void {
    if (this.#closingSince === undefined) this.#reason = reason;
    this.#socket.destroy();
  }

  #end(): void {
    const events = this.#events;
    this.#events = undefined;
    this.#reader.end();
    events?.closed(this.#reason);
    this.#ended(this);
  }
}
