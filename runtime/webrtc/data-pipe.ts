// Joins a data channel and a local socket: bytes of the one leave by the other, in messages of bounded
// size. The channel tells neither when it has room nor can it be held back (wrtc has no
// `bufferedamountlow`), so each side grants the other how many bytes it may have sent in all, and grants
// more when its own socket has taken what came. Grants and the end go as text, bytes as binary messages.
// The socket is opened only when the other side has said the call's opening.
import { connect, type Socket } from "node:net";
import { MESSAGE_BYTES_MAX } from "./call-end.ts";
import type { DataChannel } from "./wrtc.ts";

/** What a call is about: the local socket to serve, and what both sides must say first. */
export interface CallPurpose {
  /** Path of a socket that is listened on. */
  readonly path: string;
  readonly opening: string;
}

/** Bytes under way, and held at either end: 1 MiB covers 87 MB/s at a round trip of 12 ms. */
export const WINDOW_BYTES = 1024 * 1024;
/** A grant is worth a message from so many bytes on. */
const GRANT_BYTES_MIN = WINDOW_BYTES / 4;
/** For the other side to close, after we have said that we are done. */
const CLOSE_MS_MAX = 2_000;
const END = "end";

export class DataPipe {
  readonly #channel: DataChannel;
  readonly #path: string;
  readonly #opening: string;
  /** Called once, when neither side has anything more to say. */
  readonly #over: (reason: string) => void;
  readonly #unsent: Buffer[] = [];
  #sentBytes = 0;
  #grantedBytes = WINDOW_BYTES;
  #receivedBytes = 0;
  #writtenBytes = 0;
  #allowedBytes = WINDOW_BYTES;
  #hasSaidOpening = false;
  #socket: Socket | undefined;
  /** The socket has ended; what it gave is still to be sent. */
  #isEnding = false;
  #hasSaidEnd = false;
  #isOver = false;
  #closeTimer: NodeJS.Timeout | undefined;

  /** The channel need not be open yet; `path` is listened on. */
  constructor(
    channel: DataChannel,
    { path, opening }: CallPurpose,
    over: (reason: string) => void,
  ) {
    this.#channel = channel;
    this.#path = path;
    this.#opening = opening;
    this.#over = over;
    channel.binaryType = "arraybuffer";
    // From the beginning: what comes while nobody listens is lost.
    channel.onmessage = ({ data }) => this.#take(data);
    channel.onclose = () => this.end("the other side closed the call");
    channel.onopen = () => this.#sayOpening();
    if (channel.readyState === "open") this.#sayOpening();
  }

  /** Ends both, at once for the channel, with what it has got for the socket. */
  end(reason: string): void {
    if (this.#isOver) return;
    this.#isOver = true;
    clearTimeout(this.#closeTimer);
    this.#channel.onmessage = null;
    this.#channel.onclose = null;
    this.#channel.onopen = null;
    this.#socket?.destroySoon();
    this.#over(reason);
  }

  #take(data: string | ArrayBuffer): void {
    if (this.#isOver) return;
    if (this.#socket === undefined) {
      this.#sayOpening();
      if (data === this.#opening) this.#socket = this.#open();
      else this.end("the other side does not know the call's nonces");
    } else if (typeof data !== "string") this.#receive(this.#socket, Buffer.from(data));
    else if (data === END) this.#socket.end();
    else this.#grant(data);
  }

  #open(): Socket {
    const socket = connect({ path: this.#path, allowHalfOpen: true });
    socket.on("data", (bytes: Buffer) => {
      this.#unsent.push(bytes);
      this.#pump();
    });
    socket.on("error", () => {});
    socket.on("end", () => this.#finish());
    socket.on("close", () => this.#finish());
    return socket;
  }

  #receive(socket: Socket, bytes: Buffer): void {
    this.#receivedBytes += bytes.length;
    if (bytes.length > MESSAGE_BYTES_MAX || this.#receivedBytes > this.#allowedBytes) {
      this.end("the other side sent more than it was granted");
      return;
    }
    if (!socket.writable) return;
    socket.write(bytes, () => {
      this.#writtenBytes += bytes.length;
      if (this.#writtenBytes + WINDOW_BYTES - this.#allowedBytes < GRANT_BYTES_MIN) return;
      this.#allowedBytes = this.#writtenBytes + WINDOW_BYTES;
      this.#say(String(this.#allowedBytes));
    });
  }

  #grant(text: string): void {
    if (!/^\d{1,15}$/.test(text)) {
      this.end("the other side said what means nothing");
      return;
    }
    // Whatever it grants, no more than the window is ever under way.
    const granted = Math.min(Number(text), this.#sentBytes + WINDOW_BYTES);
    this.#grantedBytes = Math.max(this.#grantedBytes, granted);
    this.#pump();
  }

  /** Sends what the other side has room for, and reads on when all of it is sent. */
  #pump(): void {
    while (!this.#isOver) {
      const [bytes] = this.#unsent;
      const room = this.#grantedBytes - this.#sentBytes;
      if (bytes === undefined || room === 0) break;
      const count = Math.min(bytes.length, room, MESSAGE_BYTES_MAX);
      if (!this.#say(bytes.subarray(0, count))) return;
      this.#sentBytes += count;
      if (count === bytes.length) this.#unsent.shift();
      else this.#unsent[0] = bytes.subarray(count);
    }
    if (this.#unsent.length > 0) this.#socket?.pause();
    else if (this.#isEnding) this.#sayEnd();
    else this.#socket?.resume();
  }

  #finish(): void {
    if (this.#isEnding || this.#isOver) return;
    this.#isEnding = true;
    this.#closeTimer = setTimeout(() => this.end("closed here"), CLOSE_MS_MAX);
    this.#pump();
  }

  #sayOpening(): void {
    if (this.#hasSaidOpening) return;
    this.#hasSaidOpening = true;
    this.#say(this.#opening);
  }

  #sayEnd(): void {
    if (this.#hasSaidEnd) return;
    this.#hasSaidEnd = true;
    this.#say(END);
    // The other side's socket was told before: nobody waits for anything.
    if (this.#socket?.writableEnded) this.end("both sides are done");
  }

  #say(data: string | Buffer): boolean {
    if (this.#isOver) return false;
    try {
      // libwebrtc's threads may close the channel after it was seen open, so that it throws.
      if (this.#channel.readyState === "open") {
        this.#channel.send(data);
        return true;
      }
    } catch {
      // It is closed as well.
    }
    this.end("the other side closed the call");
    return false;
  }
}
