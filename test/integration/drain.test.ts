// Each daemon is told to end in the middle of its work: it exits with 0, and what it did goes on. A client
// follows one ship through all of it.
import assert from "node:assert/strict";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { type Build, BuildState } from "../../proto/gen/millrace/v1/builds.ts";
import { RolloutState } from "../../proto/gen/millrace/v1/rollouts.ts";
import { call } from "../../runtime/grpc/client.ts";
import { freePorts } from "../lab/free-ports.ts";
import { recipe } from "../lab/repository.ts";
import { httpSample } from "../lab/sample-service.ts";
import { type CommandResult, runMillrace, type ShipResult } from "../lab/system.ts";
import { until } from "../lab/until.ts";
import { type Daemon, DrainWorld } from "./drain-world.ts";
import { connectAll } from "./queue-system.ts";

let world: DrainWorld;
let clients: ReturnType<typeof connectAll>;
before(async () => {
  world = await DrainWorld.open();
  clients = connectAll(world.address);
});
after(() => {
  clients.close();
  world.close();
});

/** The newest build; undefined: there is none. */
async function build(): Promise<Build | undefined> {
  const { builds } = clients;
  const list = { service: "", states: [], limit: 1, pageToken: "" };
  return (await call(builds, builds.listBuilds, list)).builds[0];
}

async function isBaking(): Promise<boolean> {
  const { rollouts } = clients;
  const list = { service: "hello", openOnly: false, limit: 1, pageToken: "" };
  const [newest] = (await call(rollouts, rollouts.listRollouts, list)).rollouts;
  return newest?.state === RolloutState.ROLLOUT_STATE_BAKING;
}

async function agentsOf({ id }: Daemon): Promise<number> {
  const { fleet } = clients;
  const { regions } = await call(fleet, fleet.listRegions, {});
  return regions[0]?.relays.find((relay) => relay.id === id)?.agents ?? 0;
}

test("a ship whose worker, control plane, relay and agents end one after the other", async () => {
  const repository = world.repository("hello");
  const go = join(world.folder, "go");
  const run = `until [ -e "${go}" ]; do sleep 0.05; done`;
  // All machines at once: of a relay that ends, nothing that it could still hand out is waited for.
  const rollout = {
    waves: [{ percent: 100, bake: "3s" }],
    failures: "100%",
    maxUnavailable: 100,
  };
  repository.commit(httpSample({ service: "hello", version: "1", within: "4s", run, rollout }));
  const command = ["ship", repository.path, "--json", "--addr", world.address];
  const shipped: Promise<CommandResult> = runMillrace(command);

  await until("the command runs", async () => (await build())?.phase === "run");
  await world.worker.stop();
  const { state, attempt } = (await build()) as Build;
  assert.deepEqual([state, attempt], [BuildState.BUILD_STATE_QUEUED, 1], "it is handed back");
  await world.worker.start();
  await until("it runs again", async () => {
    const found = await build();
    return found?.attempt === 2 && found.phase === "run";
  });

  await world.controlplane.stop();
  await world.controlplane.start();
  assert.equal((await world.controlplane.page("/readyz")).text, "ready\n");
  writeFileSync(go, "");

  await until("the wave is watched", isBaking);
  const [one, two] = world.relays as [Daemon, Daemon];
  const [ended, other] = (await agentsOf(one)) > 0 ? [one, two] : [two, one];
  await ended.stop();
  await until("its machines are at the other relay", async () => {
    return (await agentsOf(other)) === world.agents.length;
  });

  const { code, stdout, stderr } = await shipped;
  const report = JSON.parse(stdout.trimEnd().split("\n").at(-1) ?? "") as ShipResult;
  assert.equal(code, 0, stderr);
  assert.equal(report.rollout?.state, "succeeded");
  assert.deepEqual(report.agents, { total: 2, active: 2 });

  const machines = world.machines();
  const before = machines.map((machine) => machine.processes("hello"));
  assert.deepEqual(
    before.map(({ length }) => length),
    [1, 1],
  );
  for (const agent of world.agents) await agent.stop();
  assert.equal((await machines[0]!.ask("hello"))?.version, "1");
  for (const agent of world.agents) await agent.start();
  for (const agent of world.agents) await agent.isReady();
  assert.deepEqual(
    machines.map((machine) => machine.processes("hello")),
    before,
  );
  for (const machine of machines) assert.equal(machine.starts("hello").length, 1);

  // For one that is known and away each rollout waits.
  const gone = ["regions", "--forget", ended.id, "--addr", world.address];
  assert.equal((await runMillrace(gone)).code, 0);
  assert.equal((await runMillrace(gone)).code, 2, "it is not known any more");
});

test("a switch that is half-way is ended before the agent ends: the service is not left without a process", async () => {
  const repository = world.repository("fixed");
  const [port] = await freePorts(1);
  const leaving = join(world.folder, "leaving");
  // The old process takes its time to end, and says that it has begun to.
  const server = (version: string): string => `
    import { writeFileSync } from "node:fs";
    import { createServer } from "node:http";
    process.on("SIGTERM", () => {
      writeFileSync(${JSON.stringify(leaving)}, "");
      setTimeout(() => process.exit(), 1_000);
    });
    createServer((_, response) => response.end("${version}")).listen(${port}, "127.0.0.1");
  `;
  const ship = (version: string): Promise<CommandResult> => {
    repository.commit({
      "dist/server.mjs": server(version),
      "millrace.yaml": recipe({
        service: "fixed",
        run: ":",
        activate: {
          exec: ["node", "server.mjs"],
          port,
          health: { http: `http://127.0.0.1:${port}/`, within: "4s" },
        },
        rollout: { waves: [{ percent: 100 }], targets: { index: "1" } },
      }),
    });
    return runMillrace(["ship", repository.path, "--addr", world.address]);
  };
  const asked = async (): Promise<string> => (await fetch(`http://127.0.0.1:${port}/`)).text();
  assert.equal((await ship("one")).code, 0);
  assert.equal(await asked(), "one");
  const shipped = ship("two");
  await until("the old process is told to end", () => existsSync(leaving));
  const [agent] = world.agents as [Daemon];
  await agent.stop();
  await until("the new one answers", () =>
    asked().then(
      (text) => text === "two",
      () => false,
    ),
  );
  await agent.start();
  assert.equal((await shipped).code, 0);
  assert.equal(await asked(), "two");
});
