// A client that was given several replicas, by name or by address: it finds one that answers, leaves one that
// hangs, and needs no word from anybody to do so.
import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { after, test } from "node:test";
import { type ServiceError, status } from "@grpc/grpc-js";
import {
  LeadershipServiceClient,
  LeadershipServiceService,
} from "../../proto/gen/millrace/v1/leadership.ts";
import { call, callTarget, connect } from "../../runtime/grpc/client.ts";
import { unary } from "../../runtime/grpc/handlers.ts";
import { startGrpcServer } from "../../runtime/grpc/server.ts";
import { AddressError, formatAddress } from "../../runtime/listen-address.ts";
import { createLog } from "../../runtime/log.ts";
import { Health } from "../../runtime/program/health.ts";
import { FaultyWire } from "../lab/faulty-wire.ts";

const log = createLog("test", {});
log.level = process.env["MILLRACE_LOG"] ?? "fatal";

/** Longer than any of these takes, so that only the channel can end a call earlier. */
const LONG = { deadlineMs: 60_000, waitForReady: true };

async function replica(name: string): Promise<{ port: number; close: () => Promise<void> }> {
  const server = await startGrpcServer({
    health: new Health({}),
    address: { host: "127.0.0.1", port: 0 },
    services: [
      {
        definition: LeadershipServiceService,
        implementation: {
          getLeader: unary(log, async () => ({
            replica: name,
            address: formatAddress(server.address),
          })),
        },
      },
    ],
    log,
  });
  return { port: server.address.port, close: () => server.close() };
}

/** Takes connections and says nothing, as a process that stands still does. */
const sockets = new Set<Socket>();
const silent = createServer((socket) => void sockets.add(socket));
silent.listen(0, "127.0.0.1");
await once(silent, "listening");
const silentPort = (silent.address() as AddressInfo).port;

const [one, two] = await Promise.all([replica("one"), replica("two")]);
after(async () => {
  for (const socket of sockets) socket.destroy();
  silent.close();
  await Promise.all([one.close(), two.close()]);
});

async function answers(addresses: string): Promise<string> {
  const client = connect(LeadershipServiceClient, addresses);
  try {
    return (await call(client, client.getLeader, {}, LONG)).replica;
  } finally {
    client.close();
  }
}

test("replicas are found by name and by address, whichever of them is there", async () => {
  assert.equal(await answers(`localhost:${one.port}`), "one");
  assert.equal(await answers(`localhost:${one.port},localhost:${two.port}`), "one");
  assert.equal(await answers(`127.0.0.1:1,localhost:${two.port}`), "two");
  assert.equal(await answers(`nowhere.invalid:7070,127.0.0.1:${two.port}`), "two");
  assert.equal(await answers(`[::1]:1,127.0.0.1:${two.port}`), "two", "of both families");
  const none = connect(LeadershipServiceClient, "nowhere.invalid:7070,not.here.invalid:7070");
  await assert.rejects(call(none, none.getLeader, {}), /none of nowhere\.invalid:7070/);
  none.close();
  assert.throws(() => callTarget("localhost:7070,localhost"), AddressError);
});

test("fault 6: a replica that takes connections and says nothing is passed by", async () => {
  assert.equal(await answers(`127.0.0.1:${silentPort},127.0.0.1:${two.port}`), "two");
});

test("fault 6: a replica that falls silent is left, for calls and for streams, before their time is up", async () => {
  const wire = await FaultyWire.listen(`127.0.0.1:${one.port}`);
  const client = connect(LeadershipServiceClient, `${wire.address},localhost:${two.port}`);
  assert.equal((await call(client, client.getLeader, {}, LONG)).replica, "one");
  wire.become("mute");
  const unanswered = call(client, client.getLeader, {}, LONG);
  await assert.rejects(unanswered, ({ code }: ServiceError) => code === status.UNAVAILABLE);
  assert.equal((await call(client, client.getLeader, {}, LONG)).replica, "two");
  client.close();
  await wire.close();
});
