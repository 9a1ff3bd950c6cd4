// One connection of a load driver, with many gRPC streams on it. To a relay they are as those of any agent; to the
// driver each costs a fraction of what a stream of the gRPC library does, whose client takes more processor than the
// agent, its relay and the leader together. It reads no header fields: a stream that ends without an answer has failed.
import { connect, type Socket } from "node:net";
import { parseAddress } from "../../runtime/listen-address.ts";
import {
  dataOf,
  FLAG,
  FRAME,
  FrameCutter,
  frameOf,
  type Http2Frame,
  headersOf,
  MESSAGE_HEAD_BYTES,
  messageOf,
  PAYLOAD_BYTES_MAX,
  PREFACE,
  readSettings,
  SETTING,
  settingsOf,
  word,
} from "./http2-frames.ts";

/** What a stream may be sent before it is told that there is room again: never, as none gets 2 GiB. */
const STREAM_WINDOW = 2 ** 31 - 1;
/** The same of a connection, which begins with little whatever is asked for. */
const CONNECTION_WINDOW = 65_535;
/** Said so often that there is room again. */
const CREDIT_BYTES = CONNECTION_WINDOW / 2;
/** A server asks every 10 s whether somebody is there; one that says nothing for so long is lost. */
const SILENT_MS_MAX = 60_000;
/** Code of an end without a reason given. */
const CANCEL = 8;

/** Hears of one stream. */
export interface GrpcListener {
  /** Lies in what was read: to be copied by whoever keeps it. */
  message(bytes: Buffer): void;
  /** Said last and once. */
  ended(reason: string): void;
}

interface Stream {
  readonly id: number;
  readonly listener: GrpcListener;
  /** Bytes that it may still send. */
  window: number;
  /** Of a message that has not come whole. */
  rest: Buffer | undefined;
  /** What there was no room for yet. */
  readonly waiting: Buffer[];
  /** `open`: it may say more. `ending`: it may not, and what waits goes first. `ended`: the server knows. */
  saying: "open" | "ending" | "ended";
}

/** A stream as its user has it. */
export interface GrpcStream {
  send(bytes: Uint8Array): void;
  /** Says that nothing more comes. */
  end(): void;
  cancel(): void;
}

export class GrpcConnection {
  readonly #address: string;
  readonly #socket: Socket;
  readonly #cutter = new FrameCutter();
  readonly #streams = new Map<number, Stream>();
  readonly #onClosed: () => void;
  /** Written together at the end of what is being done. */
  #unwritten: Buffer[] = [];
  #lastId = -1;
  /** Bytes that all streams together may still send, and one that is new. */
  #window = CONNECTION_WINDOW;
  #newWindow = CONNECTION_WINDOW;
  /** Bytes read since the server was told of room. */
  #uncredited = 0;
  #why = "the connection was closed";

  /** To "host:port"; `onClosed` says that it takes no more streams. */
  constructor(address: string, onClosed: () => void) {
    this.#address = address;
    this.#onClosed = onClosed;
    const { host, port } = parseAddress(address);
    const socket = connect({ host, port, noDelay: true, timeout: SILENT_MS_MAX });
    this.#socket = socket;
    socket.on("data", (read: Buffer) => this.#read(read));
    socket.on("timeout", () => socket.destroy(new Error(`silent for ${SILENT_MS_MAX} ms`)));
    socket.on("error", (error) => {
      this.#why = error.message;
    });
    socket.on("end", () => socket.destroy());
    socket.on("close", () => this.#closed());
    this.#write(PREFACE);
    const settings = settingsOf([
      [SETTING.headerTableSize, 0],
      [SETTING.enablePush, 0],
      [SETTING.initialWindowSize, STREAM_WINDOW],
    ]);
    this.#write(frameOf(FRAME.settings, 0, 0, settings));
  }

  /** Streams that have not ended. */
  get size(): number {
    return this.#streams.size;
  }

  /** Opens a stream for the method of this path. */
  open(path: string, listener: GrpcListener): GrpcStream {
    this.#lastId += 2;
    const id = this.#lastId;
    const stream: Stream = {
      ...{ id, listener, window: this.#newWindow },
      ...{ rest: undefined, waiting: [], saying: "open" },
    };
    this.#streams.set(id, stream);
    const headers = headersOf([
      [":method", "POST"],
      [":scheme", "http"],
      [":path", path],
      [":authority", this.#address],
      ["content-type", "application/grpc"],
      ["te", "trailers"],
    ]);
    this.#write(frameOf(FRAME.headers, FLAG.endHeaders, id, headers));
    return {
      send: (bytes) => this.#send(stream, messageOf(bytes)),
      end: () => {
        if (stream.saying === "open") stream.saying = "ending";
        this.#drain(stream);
      },
      cancel: () => {
        if (this.#streams.has(id)) this.#write(frameOf(FRAME.reset, 0, id, word(CANCEL)));
        this.#end(stream, "cancelled");
      },
    };
  }

  close(): void {
    this.#socket.destroy();
  }

  #send(stream: Stream, message: Buffer): void {
    if (stream.saying !== "open" || !this.#streams.has(stream.id)) return;
    for (let at = 0; at < message.length; at += PAYLOAD_BYTES_MAX) {
      stream.waiting.push(message.subarray(at, at + PAYLOAD_BYTES_MAX));
    }
    this.#drain(stream);
  }

  /** Writes what there is room for. */
  #drain(stream: Stream): void {
    for (let next = stream.waiting[0]; next !== undefined; next = stream.waiting[0]) {
      if (next.length > Math.min(this.#window, stream.window)) return;
      stream.waiting.shift();
      this.#window -= next.length;
      stream.window -= next.length;
      this.#write(frameOf(FRAME.data, 0, stream.id, next));
    }
    if (stream.saying === "ending" && this.#streams.has(stream.id)) {
      stream.saying = "ended";
      this.#write(frameOf(FRAME.data, FLAG.endStream, stream.id));
    }
  }

  #write(bytes: Buffer): void {
    if (this.#unwritten.length === 0) queueMicrotask(() => this.#flush());
    this.#unwritten.push(bytes);
  }

  #flush(): void {
    const bytes = Buffer.concat(this.#unwritten);
    this.#unwritten = [];
    if (!this.#socket.destroyed) this.#socket.write(bytes);
  }

  #read(read: Buffer): void {
    try {
      for (const frame of this.#cutter.cut(read)) this.#take(frame);
    } catch (error) {
      this.#socket.destroy(error as Error);
    }
  }

  #take(frame: Http2Frame): void {
    const stream = this.#streams.get(frame.stream);
    switch (frame.type) {
      case FRAME.data:
        this.#credit(frame.payload.length);
        if (stream !== undefined) this.#hear(stream, dataOf(frame));
        break;
      case FRAME.settings:
        if ((frame.flags & FLAG.ack) !== 0) return;
        this.#heed(frame.payload);
        this.#write(frameOf(FRAME.settings, FLAG.ack, 0));
        return;
      case FRAME.ping:
        if ((frame.flags & FLAG.ack) !== 0) return;
        this.#write(frameOf(FRAME.ping, FLAG.ack, 0, frame.payload));
        return;
      case FRAME.windowUpdate:
        this.#grow(stream, frame.stream === 0, frame.payload.readUInt32BE(0) & 0x7fff_ffff);
        return;
      case FRAME.reset:
        if (stream !== undefined) this.#end(stream, "the server reset the stream");
        return;
      case FRAME.goAway:
        // Streams that are open go on until the server ends them.
        this.#onClosed();
        return;
    }
    const isLast = frame.type === FRAME.data || frame.type === FRAME.headers;
    if (stream === undefined || !isLast || (frame.flags & FLAG.endStream) === 0) return;
    this.#end(stream, "the server ended the stream");
  }

  /** Takes the messages that are whole by now. */
  #hear(stream: Stream, data: Buffer): void {
    let bytes = stream.rest === undefined ? data : Buffer.concat([stream.rest, data]);
    while (bytes.length >= MESSAGE_HEAD_BYTES) {
      const end = MESSAGE_HEAD_BYTES + bytes.readUInt32BE(1);
      if (bytes.length < end) break;
      stream.listener.message(bytes.subarray(MESSAGE_HEAD_BYTES, end));
      bytes = bytes.subarray(end);
    }
    // What was read is a buffer of 64 KB that a few bytes should not keep.
    stream.rest = bytes.length === 0 ? undefined : Buffer.from(bytes);
  }

  #credit(bytes: number): void {
    this.#uncredited += bytes;
    if (this.#uncredited < CREDIT_BYTES) return;
    this.#write(frameOf(FRAME.windowUpdate, 0, 0, word(this.#uncredited)));
    this.#uncredited = 0;
  }

  #heed(payload: Buffer): void {
    for (const [id, value] of readSettings(payload)) {
      if (id !== SETTING.initialWindowSize) continue;
      for (const stream of this.#streams.values()) stream.window += value - this.#newWindow;
      this.#newWindow = value;
    }
    for (const stream of this.#streams.values()) this.#drain(stream);
  }

  #grow(stream: Stream | undefined, isConnection: boolean, bytes: number): void {
    if (isConnection) {
      this.#window += bytes;
      for (const each of this.#streams.values()) this.#drain(each);
    } else if (stream !== undefined) {
      stream.window += bytes;
      this.#drain(stream);
    }
  }

  #end(stream: Stream, reason: string): void {
    if (this.#streams.delete(stream.id)) stream.listener.ended(reason);
  }

  #closed(): void {
    this.#onClosed();
    for (const stream of [...this.#streams.values()]) this.#end(stream, this.#why);
  }
}
