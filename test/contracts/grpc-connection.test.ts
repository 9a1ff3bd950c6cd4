// The connection of a load driver against a server of the gRPC library: what it sends comes as from any client, and
// what a server says is heard whole, however it is cut.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import {
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServiceDefinition,
} from "@grpc/grpc-js";
import { GrpcConnection } from "../../simulator/load/grpc-connection.ts";

const PATH = "/test.Echo/Talk";
const raw = (bytes: Buffer): Buffer => bytes;

/** Every message comes back; one that says so ends the stream, with an error where it is "fail". */
const ECHO: ServiceDefinition = {
  talk: {
    path: PATH,
    requestStream: true,
    responseStream: true,
    requestSerialize: raw,
    requestDeserialize: raw,
    responseSerialize: raw,
    responseDeserialize: raw,
  },
};

const server = new Server({ "grpc.max_receive_message_length": -1 });
server.addService(ECHO, {
  talk: (stream: ServerDuplexStream<Buffer, Buffer>) => {
    stream.on("data", (message: Buffer) => {
      if (message.toString() === "end") stream.end();
      else if (message.toString() === "fail") stream.emit("error", { code: 8, details: "full" });
      else stream.write(message);
    });
    stream.on("end", () => stream.end());
    stream.on("error", () => {});
  },
});
const port = await new Promise<number>((resolve, reject) => {
  server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) => {
    if (error === null) resolve(bound);
    else reject(error);
  });
});
const address = `127.0.0.1:${port}`;
const open = new Set<GrpcConnection>();
after(() => {
  for (const connection of open) connection.close();
  server.forceShutdown();
});

function connection(to = address): GrpcConnection {
  const made: GrpcConnection = new GrpcConnection(to, () => open.delete(made));
  open.add(made);
  return made;
}

/** A stream with what is heard of it. */
class Talk {
  readonly heard: Buffer[] = [];
  readonly ended = Promise.withResolvers<string>();
  readonly stream;
  #wanted = 0;
  #enough = Promise.withResolvers<void>();

  constructor(on: GrpcConnection) {
    this.stream = on.open(PATH, {
      message: (bytes) => {
        this.heard.push(Buffer.from(bytes));
        if (this.heard.length >= this.#wanted) this.#enough.resolve();
      },
      ended: (reason) => this.ended.resolve(reason),
    });
  }

  async hear(count: number): Promise<readonly Buffer[]> {
    this.#wanted = count;
    this.#enough = Promise.withResolvers();
    if (this.heard.length < count) await this.#enough.promise;
    return this.heard;
  }
}

test("many streams of one connection hear each what is theirs, in its order", async () => {
  const on = connection();
  const talks = Array.from({ length: 100 }, () => new Talk(on));
  for (const [index, { stream }] of talks.entries()) {
    for (let number = 0; number < 5; number += 1) stream.send(Buffer.from(`${index}.${number}`));
  }
  for (const [index, talk] of talks.entries()) {
    const heard = await talk.hear(5);
    assert.deepEqual(
      heard.map((bytes) => bytes.toString()),
      [0, 1, 2, 3, 4].map((number) => `${index}.${number}`),
    );
  }
  assert.equal(on.size, 100);
});

test("a message longer than frames and windows goes and comes whole", async () => {
  const talk = new Talk(connection());
  // Ten times what a connection may send before it is told that there is room.
  const long = Buffer.from(Array.from({ length: 655_350 }, (_, index) => index % 251));
  talk.stream.send(long);
  talk.stream.send(Buffer.alloc(0));
  const [first, second] = await talk.hear(2);
  assert.ok(first?.equals(long));
  assert.equal(second?.length, 0);
});

test("a stream goes on while megabytes pass on others", async () => {
  const on = connection();
  const [one, other] = [new Talk(on), new Talk(on)];
  const chunk = Buffer.alloc(60_000, 7);
  for (let round = 1; round <= 50; round += 1) {
    one.stream.send(chunk);
    other.stream.send(Buffer.from(String(round)));
    await Promise.all([one.hear(round), other.hear(round)]);
  }
  assert.ok(one.heard.every((bytes) => bytes.equals(chunk)));
});

test("a stream ends once: by the server, with an error, half closed, cancelled, or with its connection", async () => {
  const on = connection();
  const [ended, failed, closed, cancelled, lost] = Array.from(
    { length: 5 },
    () => new Talk(on),
  ) as [Talk, Talk, Talk, Talk, Talk];
  ended.stream.send(Buffer.from("end"));
  failed.stream.send(Buffer.from("fail"));
  closed.stream.send(Buffer.from("last"));
  closed.stream.end();
  assert.equal(await ended.ended.promise, "the server ended the stream");
  assert.equal(await failed.ended.promise, "the server ended the stream");
  assert.equal(await closed.ended.promise, "the server ended the stream");
  assert.equal(closed.heard[0]?.toString(), "last");
  cancelled.stream.cancel();
  assert.equal(await cancelled.ended.promise, "cancelled");
  assert.equal(on.size, 1);
  on.close();
  assert.equal(await lost.ended.promise, "the connection was closed");
  lost.stream.send(Buffer.from("nobody hears it"));
});

test("where nobody listens a stream ends with the reason", async () => {
  const talk = new Talk(connection("127.0.0.1:1"));
  assert.match(await talk.ended.promise, /ECONNREFUSED/);
});
