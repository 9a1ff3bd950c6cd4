// A program's health: ready only while nothing is missing, and told by HTTP and by gRPC in the same words.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Client } from "@grpc/grpc-js";
import { service as healthDefinition } from "grpc-health-check";
import { askByGrpc } from "../../cli/remote/ask-health.ts";
import { connect } from "../../runtime/grpc/client.ts";
import { READY_SERVICE } from "../../runtime/grpc/health-service.ts";
import { startGrpcServer } from "../../runtime/grpc/server.ts";
import { formatAddress } from "../../runtime/listen-address.ts";
import { createLog } from "../../runtime/log.ts";
import { Health } from "../../runtime/program/health.ts";
import { healthPage } from "../../runtime/program/health-page.ts";
import { until } from "../lab/until.ts";

const log = createLog("test");
log.level = "silent";

test("it is ready when it has begun and every check holds, and not ready for the reasons given", async () => {
  let trouble: string | undefined = "away";
  const health = new Health({
    store: () => trouble,
    origin: async () => {
      if (trouble !== undefined) throw new Error("it cannot be written");
      return undefined;
    },
  });
  let changes = 0;
  health.onChange(() => {
    changes += 1;
  });
  assert.deepEqual(healthPage(health, "/readyz"), {
    status: 503,
    text: "not ready\nprogram: is starting\n",
  });
  await health.begin();
  const text = "not ready\nstore: away\norigin: it cannot be written\n";
  assert.deepEqual(healthPage(health, "/readyz?verbose"), { status: 503, text });
  assert.deepEqual(healthPage(health, "/livez"), { status: 200, text: "live\n" });
  trouble = undefined;
  await until("it is ready", () => health.isReady);
  assert.deepEqual(healthPage(health, "/readyz"), { status: 200, text: "ready\n" });
  health.drain();
  assert.equal(healthPage(health, "/readyz")?.text, "not ready\nprogram: is ending\n");
  assert.equal(changes, 2);
  assert.equal(healthPage(health, "/metrics"), undefined);
});

test("gRPC tells it, and a watch of it does not hold a server up that closes", async () => {
  const health = new Health({});
  const address = { host: "127.0.0.1", port: 0 };
  const server = await startGrpcServer({ address, services: [], health, log });
  const at = formatAddress(server.address);
  assert.deepEqual(await askByGrpc(at, "ready"), { holds: false, why: "it says NOT_SERVING" });
  assert.deepEqual(await askByGrpc(at, "live"), { holds: true, why: "" });
  await health.begin();
  assert.deepEqual(await askByGrpc(at, "ready"), { holds: true, why: "" });
  const client = connect(Client, at);
  const { path, requestSerialize, responseDeserialize } = healthDefinition["Watch"] as never as {
    path: string;
    requestSerialize: (request: object) => Buffer;
    responseDeserialize: (bytes: Buffer) => { status: string };
  };
  const request = { service: READY_SERVICE };
  const watch = client.makeServerStreamRequest(
    path,
    requestSerialize,
    responseDeserialize,
    request,
  );
  const seen: string[] = [];
  const ended = new Promise((resolve) => watch.on("end", resolve));
  await new Promise<void>((resolve) => {
    watch.on("data", ({ status }: { status: string }) => {
      seen.push(status);
      resolve();
    });
  });
  health.drain();
  // So long a grace that the test would end first, did the watch hold the server up.
  await server.close(600_000);
  await ended;
  assert.deepEqual([seen[0], seen.at(-1)], ["SERVING", "NOT_SERVING"]);
  client.close();
});
