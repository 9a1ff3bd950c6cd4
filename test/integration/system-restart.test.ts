// Everything is killed at once and started again on the same folder: it goes on where it was, and services
// have lived on meanwhile.
import assert from "node:assert/strict";
import { existsSync, writeFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { Lab } from "../lab/lab.ts";
import type { Repository } from "../lab/repository.ts";
import { hookSample, httpSample, type Sample } from "../lab/sample-service.ts";
import { until } from "../lab/until.ts";

const SERVICE = "lasting";
const ALL_AT_ONCE = { waves: [{ percent: 100 }], failures: "100%", maxUnavailable: 100 };

const lab = new Lab();
let repository: Repository;
/** What every machine answers now. */
let version = "0";

before(async () => {
  repository = lab.repository(SERVICE);
  await lab.start({ regions: 2, agents: 2 });
  commitNext();
  const ship = await lab.system.ship(repository.path);
  assert.equal(ship.rollout?.state, "succeeded", JSON.stringify(ship));
});
after(() => lab.close());

/** Commits the next version; gives its SHA. */
function commitNext(sample: Partial<Sample> = {}): string {
  version = `${Number(version) + 1}`;
  return repository.commit(
    httpSample({ service: SERVICE, version, rollout: ALL_AT_ONCE, ...sample }),
  );
}

const answers = () => Promise.all(lab.machines().map((machine) => machine.ask(SERVICE)));

interface Work {
  readonly builds: { id: string; sha: string; state: string; phase: string }[];
  readonly rollouts: { id: string; sha: string; state: string; regions: { active: number }[] }[];
}

async function workOn(sha: string): Promise<Work> {
  const [{ builds }, { rollouts }] = await Promise.all([
    lab.system.read<Work>("builds"),
    lab.system.read<Work>("rollouts"),
  ]);
  return {
    builds: builds.filter((build) => build.sha === sha),
    rollouts: rollouts.filter((rollout) => rollout.sha === sha),
  };
}

async function endsWell(sha: string): Promise<void> {
  await until("the rollout has succeeded", async () => {
    const { rollouts } = await workOn(sha);
    return rollouts.some(({ state }) => state === "succeeded");
  });
  const { builds, rollouts } = await workOn(sha);
  assert.deepEqual(
    builds.map(({ state }) => state),
    ["succeeded"],
  );
  assert.equal(rollouts.length, 1);
}

test("killed while idle: services live on and are adopted, and nothing is forgotten", async () => {
  const running = await answers();
  assert.equal(new Set(running.map((answer) => answer?.pid)).size, 4);
  await lab.system.crash();
  assert.deepEqual(await answers(), running);
  await lab.start();
  assert.deepEqual(await answers(), running);
  await until("all machines are there, each with its process", async () => {
    const { agents } = await lab.system.read<{ agents: Agent[] }>("agents");
    const pids = agents.flatMap(({ services }) => services.map(({ phase, pid }) => phase + pid));
    return (
      pids.sort().join() ===
      running
        .map((answer) => `active${answer?.pid}`)
        .sort()
        .join()
    );
  });
  const sha = repository.git("rev-parse", "HEAD").trim();
  const { builds, rollouts } = await workOn(sha);
  assert.deepEqual([builds.length, rollouts.length], [1, 1]);
  const { releases } = await lab.system.read<{ releases: { sha: string }[] }>("releases");
  assert.equal(releases[0]?.sha, sha);
  assert.equal((await lab.system.millrace("logs", builds[0]?.id ?? "")).code, 0);
});

interface Agent {
  readonly services: { readonly phase: string; readonly pid: number }[];
}

test("killed in mid-build and in mid-rollout: both go on and end well", async () => {
  const before = await answers();
  // Half of the machines, then a while in which to kill.
  const rollout = { waves: [{ percent: 50, bake: "5s" }, { percent: 100 }], failures: "100%" };
  const rolling = commitNext({ rollout: { ...rollout, maxUnavailable: 100 } });
  await begin(repository);
  await until("half of the machines have it", async () => {
    return (await answers()).filter((answer) => answer?.version === version).length === 2;
  });
  // The command waits for a file, so that it is in its middle until this test lets it go on.
  const gate = lab.path("gate");
  const begun = lab.path("begun");
  const run = `echo "attempt begins"; touch ${begun}; until [ -e ${gate} ]; do sleep 0.05; done`;
  const gated = lab.repository("gated");
  const building = gated.commit(
    hookSample({ service: "gated", version: "1", run, rollout: ALL_AT_ONCE }),
  );
  await begin(gated);
  await until("the command runs", () => existsSync(begun));

  await lab.system.crash();
  const meanwhile = await answers();
  assert.deepEqual(
    meanwhile.map((answer) => answer !== undefined),
    before.map(() => true),
  );
  assert.equal(meanwhile.filter((answer) => answer?.version === version).length, 2);
  writeFileSync(gate, "");
  await lab.start();
  await endsWell(rolling);
  for (const machine of lab.machines()) {
    assert.equal((await machine.ask(SERVICE))?.version, version);
    const release = machine.release(SERVICE);
    assert.equal(machine.starts(SERVICE).filter((started) => started === release).length, 1);
  }
  await endsWell(building);
  for (const machine of lab.machines()) assert.equal(machine.starts("gated").length, 1);
  const log = await lab.system.millrace("logs", building);
  assert.match(log.stdout, /attempt begins/);
  const { epoch } = await lab.system.read<{ epoch: number }>("status");
  assert.ok(epoch >= 3, `epoch ${epoch}`);
});

async function begin({ path }: Repository): Promise<void> {
  const { code, stderr } = await lab.system.millrace("ship", path, "--no-wait");
  assert.equal(code, 0, stderr);
}
