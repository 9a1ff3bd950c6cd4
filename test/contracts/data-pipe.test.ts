// Two pipes over a channel that is a model of wrtc's: whatever is written at one local socket is read at
// the other, in bounded windows; who breaks the rules of the channel is cut off.
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { MESSAGE_BYTES_MAX } from "../../runtime/webrtc/call-end.ts";
import { DataPipe, WINDOW_BYTES } from "../../runtime/webrtc/data-pipe.ts";
import type { DataChannel } from "../../runtime/webrtc/wrtc.ts";
import { until } from "../lab/until.ts";

const OPENING = "call nonce";

/** One end of a channel: hands over later, in order, and what nobody listens for is lost. */
class ModelChannel implements DataChannel {
  readonly label = "model";
  readyState: DataChannel["readyState"] = "open";
  binaryType = "arraybuffer" as const;
  onopen: DataChannel["onopen"] = null;
  onclose: DataChannel["onclose"] = null;
  onmessage: DataChannel["onmessage"] = null;
  other: ModelChannel | undefined;
  /** Bytes of binary messages sent, and the size of the largest. */
  sentBytes = 0;
  largest = 0;

  send(data: string | Uint8Array): void {
    const copy = typeof data === "string" ? data : new Uint8Array(data).buffer;
    if (typeof copy !== "string") {
      this.sentBytes += copy.byteLength;
      this.largest = Math.max(this.largest, copy.byteLength);
    }
    setImmediate(() => this.other?.onmessage?.({ data: copy }));
  }

  close(): void {
    for (const end of [this, this.other]) {
      if (end === undefined || end.readyState === "closed") continue;
      end.readyState = "closed";
      setImmediate(() => end.onclose?.());
    }
  }
}

/** A local socket that is listened on, as a program does. */
class Place {
  readonly folder = mkdtempSync(join(tmpdir(), "millrace-pipe-"));
  readonly path = join(this.folder, "s");
  readonly #server: Server = createServer();
  readonly socket: Promise<Socket>;
  connections = 0;

  constructor() {
    this.#server.listen(this.path);
    this.socket = once(this.#server, "connection").then(([socket]) => socket as Socket);
    this.#server.on("connection", (socket: Socket) => {
      this.connections += 1;
      socket.on("error", () => {});
    });
  }

  async close(): Promise<void> {
    if (this.connections > 0) (await this.socket).destroy();
    this.#server.close();
    rmSync(this.folder, { recursive: true });
  }
}

function channels(): [ModelChannel, ModelChannel] {
  const [left, right] = [new ModelChannel(), new ModelChannel()];
  left.other = right;
  right.other = left;
  return [left, right];
}

/** A pipe and the reason of its end. */
function pipe(channel: ModelChannel, { path }: Place, opening = OPENING): Promise<string> {
  return new Promise((resolve) => {
    new DataPipe(channel, { path, opening }, (reason) => {
      channel.close();
      resolve(reason);
    });
  });
}

async function withPlaces(run: (left: Place, right: Place) => Promise<void>): Promise<void> {
  const places = [new Place(), new Place()] as const;
  try {
    await run(...places);
  } finally {
    await Promise.all(places.map((place) => place.close()));
  }
}

test("bytes come out as they went in, both ways, and an end at one side ends both", async () => {
  const writes = fc.array(fc.integer({ min: 1, max: 300_000 }), { maxLength: 12 });
  await fc.assert(
    fc.asyncProperty(writes, writes, (there, back) =>
      withPlaces(async (left, right) => {
        const [a, b] = channels();
        const ends = [pipe(a, left), pipe(b, right)];
        const [near, far] = await Promise.all([left.socket, right.socket]);
        const read = (socket: Socket, bytes: number): Promise<Buffer> =>
          new Promise((resolve) => {
            const parts: Buffer[] = [];
            let count = 0;
            const check = (): void => {
              if (count === bytes) resolve(Buffer.concat(parts));
            };
            socket.on("data", (part: Buffer) => {
              parts.push(part);
              count += part.length;
              check();
            });
            check();
          });
        const write = (socket: Socket, sizes: number[]): Buffer => {
          const all = sizes.map((size, at) => Buffer.alloc(size, `${at}-${size};`));
          for (const part of all) socket.write(part);
          return Buffer.concat(all);
        };
        const [sent, answered] = [write(near, there), write(far, back)];
        const [came, returned] = await Promise.all([
          read(far, sent.length),
          read(near, answered.length),
        ]);
        assert(came.equals(sent) && returned.equals(answered));
        assert(Math.max(a.largest, b.largest) <= MESSAGE_BYTES_MAX);
        far.on("end", () => far.destroy());
        near.end();
        await Promise.all(ends);
      }),
    ),
    { numRuns: 20 },
  );
});

test("fault 10: towards who reads nothing no more than a window is sent", () =>
  withPlaces(async (left, right) => {
    const [a, b] = channels();
    void pipe(a, left);
    void pipe(b, right);
    const [near, far] = await Promise.all([left.socket, right.socket]);
    far.pause();
    const bytes = 4 * WINDOW_BYTES;
    near.write(Buffer.alloc(bytes));
    await until("the window is full", () => a.sentBytes >= WINDOW_BYTES);
    // What the kernel holds of a local socket is granted again: 208 KiB as it comes, twice that at most.
    assert(a.sentBytes <= 1.5 * WINDOW_BYTES, `${a.sentBytes} bytes`);
    let count = 0;
    far.on("data", (part: Buffer) => {
      count += part.length;
    });
    far.resume();
    await until("all has come", () => count === bytes);
  }));

test("the local socket is opened for nobody who does not know the opening", () =>
  withPlaces(async (left, right) => {
    const [a, b] = channels();
    const [mine, theirs] = await Promise.all([pipe(a, left), pipe(b, right, "another nonce")]);
    assert.match(`${mine} ${theirs}`, /nonces/);
    assert.equal(left.connections + right.connections, 0);
  }));

for (const [what, said, reason] of [
  ["a message that is too long", [new Uint8Array(MESSAGE_BYTES_MAX + 1)], /granted/],
  ["more than was granted", new Array(40).fill(new Uint8Array(MESSAGE_BYTES_MAX)), /granted/],
  ["a text that means nothing", ["grant me a wish"], /means nothing/],
] as const) {
  test(`who sends ${what} is cut off`, () =>
    withPlaces(async (left) => {
      const [a, b] = channels();
      const ended = pipe(a, left);
      b.send(OPENING);
      // Nobody reads, so nothing is granted beyond the window and the kernel's part.
      (await left.socket).pause();
      for (const data of said) b.send(data);
      assert.match(await ended, reason);
    }));
}

test("a channel that closes after it was seen open ends the pipe, and nothing else", () =>
  withPlaces(async (left, right) => {
    const [a, b] = channels();
    const [near, far] = [pipe(a, left), pipe(b, right)];
    const socket = await left.socket;
    await right.socket;
    a.send = () => {
      throw new Error("RTCDataChannel.readyState is not 'open'");
    };
    socket.end("too late");
    assert.equal(await near, "the other side closed the call");
    await far;
  }));

test("grants beyond the window give no more than a window", () =>
  withPlaces(async (left) => {
    const [a, b] = channels();
    const ended = pipe(a, left);
    b.send(OPENING);
    const near = await left.socket;
    b.send("999999999999999");
    near.write(Buffer.alloc(4 * WINDOW_BYTES));
    await until("the window is full", () => a.sentBytes >= WINDOW_BYTES);
    b.send("nonsense");
    await ended;
    assert(a.sentBytes <= 2 * WINDOW_BYTES, `${a.sentBytes} bytes`);
  }));
