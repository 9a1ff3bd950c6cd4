// A connection that was moved to a socket with memory of its owner's choice: every byte comes once and in
// order, also those that came before the move; none comes while it is stopped; its server lets go of it.
import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { test } from "node:test";
import { readDirectly } from "../../runtime/peer/direct-socket.ts";

const SPACE_BYTES = 7;

/** What came, read seven bytes at a time. */
class Reading {
  text = "";
  reads = 0;
  isStopped = false;
  readonly socket: Socket;
  readonly #space = Buffer.alloc(SPACE_BYTES);
  #came = Promise.withResolvers<void>();

  constructor(socket: Socket) {
    this.socket = readDirectly(socket, {
      space: () => this.#space,
      filled: (bytes) => this.#take(this.#space.subarray(0, bytes)),
      early: (bytes) => void this.#take(bytes),
    });
  }

  async until(text: string): Promise<void> {
    while (this.text !== text) await this.#came.promise;
  }

  #take(bytes: Buffer): boolean {
    this.text += bytes.toString();
    this.reads += 1;
    this.#came.resolve();
    this.#came = Promise.withResolvers();
    return !this.isStopped;
  }
}

async function accepted(): Promise<{ server: Server; sender: Socket; socket: Socket }> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const sender = connect((server.address() as AddressInfo).port, "127.0.0.1");
  const [socket] = (await once(server, "connection")) as [Socket];
  return { server, sender, socket };
}

test("bytes before and after the move come once and in order, into the space", async () => {
  const { server, sender, socket } = await accepted();
  sender.write("before ");
  await once(socket, "readable");
  const reading = new Reading(socket);
  await reading.until("before ");
  sender.write("and a good while after");
  await reading.until("before and a good while after");
  assert.equal(reading.reads, 1 + Math.ceil("and a good while after".length / SPACE_BYTES));
  // It is the same connection the other way.
  reading.socket.write("answer");
  assert.equal(String((await once(sender, "data"))[0]), "answer");
  reading.socket.on("end", () => reading.socket.destroy());
  const closed = once(server, "close");
  sender.destroy();
  server.close();
  // Only a server whose connections are all gone says so.
  await closed;
});

test("nothing is read while it is stopped, and all of it afterwards", async () => {
  const { server, sender, socket } = await accepted();
  const reading = new Reading(socket);
  reading.isStopped = true;
  sender.write("0123456789");
  await reading.until("0123456");
  sender.write("abc");
  // The way there and back is longer than the way there.
  reading.socket.write("?");
  await once(sender, "data");
  assert.equal(reading.text, "0123456");
  reading.isStopped = false;
  reading.socket.resume();
  await reading.until("0123456789abc");
  reading.socket.destroy();
  server.close();
  await once(server, "close");
});

test("a socket that is closed stays what it is", async () => {
  const { server, sender, socket } = await accepted();
  socket.destroy();
  assert.equal(new Reading(socket).socket, socket);
  sender.destroy();
  server.close();
  await once(server, "close");
});
