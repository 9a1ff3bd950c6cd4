// Rollouts that do not go straight on, in a whole system: bad releases, waves, pause, abort, and two of one
// service at a time.
import assert from "node:assert/strict";
import { existsSync, writeFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { pause } from "../../runtime/program/back-off.ts";
import { Lab } from "../lab/lab.ts";
import type { Machine } from "../lab/machines.ts";
import { hookSample, httpSample } from "../lab/sample-service.ts";
import type { CommandResult } from "../lab/system.ts";
import { until } from "../lab/until.ts";

const REGIONS = 2;
const AGENTS = 6;
const MACHINES = REGIONS * AGENTS;
const ALL_AT_ONCE = { waves: [{ percent: 100 }], failures: "100%", maxUnavailable: 100 };
/** A quarter, then nothing for as long as a test may take. */
const STOPS_IN_WAVE_1 = {
  waves: [{ percent: 25, bake: "1h" }, { percent: 100 }],
  failures: "100%",
  maxUnavailable: 100,
};

const lab = new Lab();
const armed = lab.path("failpoint");
const env = { MILLRACE_FAILPOINT_FILE: armed };
before(() => lab.start({ regions: REGIONS, agents: AGENTS, env }));
after(() => lab.close());

interface Rollout {
  readonly id: string;
  readonly state: string;
  readonly reason: string;
  readonly paused: boolean;
  readonly waves: readonly { readonly size: number; readonly healthy: number }[];
  readonly regions: readonly { readonly active: number; readonly activating: number }[];
  readonly failing: readonly { readonly agent: string; readonly error: string }[];
}

async function rolloutOf(id: string): Promise<Rollout> {
  return (await lab.system.read<{ rollout: Rollout }>("rollouts", id)).rollout;
}

/** Machines on which `current` is this release. */
const onRelease = (service: string, release: string): Machine[] =>
  lab.machines().filter((machine) => machine.release(service) === release);

/** Ships without waiting; the rollout's id, once there is one. */
async function begin(name: string, files: Parameters<Lab["ship"]>[1], ...flags: string[]) {
  const repository = lab.repository(name);
  const { build } = await lab.ship(repository, files, "--no-wait", ...flags);
  let found = { rollout: "", release: "" };
  await until("the rollout has begun", async () => {
    const answer = await lab.system.read<{ build: typeof found }>("builds", build?.id ?? "");
    found = answer.build;
    return found.rollout !== "";
  });
  return found;
}

const endOf = (id: string): Promise<boolean> =>
  until("the rollout has ended", async () => {
    const { state } = await rolloutOf(id);
    return ["succeeded", "rolled_back", "aborted", "failed"].includes(state);
  });

function done({ code, stdout, stderr }: CommandResult): void {
  assert.equal(code, 0, `${stdout}${stderr}`);
}

test("faults 25 and 28: a bad release, an agent killed on its way back: all go back, the old one never went away", async () => {
  const repository = lab.repository("web");
  const sample = {
    service: "web",
    rollout: { ...ALL_AT_ONCE, failures: "50%", targets: { index: "1" } },
  };
  const good = await lab.ship(repository, httpSample({ ...sample, version: "good" }));
  assert.deepEqual(good.agents, { total: REGIONS, active: REGIONS }, JSON.stringify(good));
  const machines = onRelease("web", good.release);
  assert.equal(machines.length, REGIONS);
  const running = await Promise.all(machines.map((machine) => machine.ask("web")));

  repository.commit(httpSample({ ...sample, version: "bad", healthy: false, within: "2s" }));
  writeFileSync(armed, "agent.mid-revert");
  let isOver = false;
  const shipping = lab.system.millrace("ship", repository.path, "--json").finally(() => {
    isOver = true;
  });
  let asked = 0;
  while (!isOver) {
    const answers = await Promise.all(machines.map((machine) => machine.ask("web")));
    assert.deepEqual(answers, running);
    asked += 1;
    await pause(20);
  }
  assert.ok(asked > 10, `asked ${asked} times`);
  const { code, stdout, stderr } = await shipping;
  assert.equal(code, 4, stderr);
  const report = JSON.parse(stdout);
  assert.equal(report.rollout.state, "rolled_back");
  assert.ok(!existsSync(armed), "an agent died");
  assert.equal(onRelease("web", good.release).length, REGIONS);
  const { failing } = await rolloutOf(report.rollout.id);
  assert.ok(
    failing.some(({ error }) => error.includes("503")),
    JSON.stringify(failing),
  );
});

test("a first release that is bad: the rollout has failed, and nothing runs", async () => {
  const repository = lab.repository("fresh");
  const sample = { service: "fresh", version: "1", healthy: false, within: "1s" };
  repository.commit(
    httpSample({ ...sample, rollout: { ...ALL_AT_ONCE, targets: { index: "2" } } }),
  );
  const { code, stdout } = await lab.system.millrace("ship", repository.path, "--json");
  assert.equal(code, 4);
  assert.equal(JSON.parse(stdout).rollout.state, "failed");
  for (const machine of lab.machines()) {
    assert.equal(machine.release("fresh"), undefined);
    assert.deepEqual(machine.processes("fresh"), []);
  }
});

test("a wave has exactly its share; who aborts leaves it where it stands", async () => {
  const sample = { service: "waves", version: "1", rollout: STOPS_IN_WAVE_1 };
  const { rollout, release } = await begin("waves", hookSample(sample));
  await until("the first wave bakes", async () => (await rolloutOf(rollout)).state === "baking");
  const share = MACHINES / 4;
  assert.equal(onRelease("waves", release).length, share);
  const [wave] = (await rolloutOf(rollout)).waves;
  assert.deepEqual([wave?.size, wave?.healthy], [share, share]);
  done(await lab.system.millrace("abort", rollout));
  assert.equal((await rolloutOf(rollout)).state, "aborted");
  assert.equal(onRelease("waves", release).length, share);
});

test("pause lets nobody switch any more, resume goes on", async () => {
  // Three at a time, which wait in their hooks, so that there is a middle.
  const rollout = { waves: [{ percent: 100 }], failures: "25%", maxUnavailable: 100 };
  const gate = lab.path("gate");
  const hook = `#!/bin/sh\nuntil [ -e "${gate}" ]; do sleep 0.05; done\n`;
  const files = { "dist/hook.sh": { executable: hook } };
  const sample = { service: "paused", version: "1", rollout, files };
  const begun = await begin("paused", hookSample(sample));
  const are = async (phase: "active" | "activating"): Promise<number> => {
    const { regions } = await rolloutOf(begun.rollout);
    return regions.reduce((sum, region) => sum + region[phase], 0);
  };
  const share = MACHINES / 4;
  await until("a quarter is at its switch", async () => (await are("activating")) === share);
  done(await lab.system.millrace("pause", begun.rollout));
  writeFileSync(gate, "");
  await until("who had a permit is done", async () => (await are("active")) === share);
  assert.equal(onRelease("paused", begun.release).length, share);
  // Another service goes to every machine meanwhile: time in which a switch would show.
  const other = lab.repository("other");
  const quick = hookSample({ service: "other", version: "1", rollout: ALL_AT_ONCE });
  assert.equal((await lab.ship(other, quick)).rollout?.state, "succeeded");
  assert.equal(onRelease("paused", begun.release).length, share);
  assert.equal((await rolloutOf(begun.rollout)).paused, true);
  done(await lab.system.millrace("resume", begun.rollout));
  await endOf(begun.rollout);
  const ended = await rolloutOf(begun.rollout);
  assert.equal(ended.state, "succeeded", JSON.stringify(ended));
  assert.equal(onRelease("paused", begun.release).length, MACHINES);
});

test("a second rollout waits for the first, or supersedes it", async () => {
  const slow = { service: "queue", rollout: STOPS_IN_WAVE_1 };
  const quick = { service: "queue", rollout: ALL_AT_ONCE };
  const first = await begin("queue-1", hookSample({ ...slow, version: "1" }));
  await until("the first bakes", async () => (await rolloutOf(first.rollout)).state === "baking");
  const second = await begin("queue-2", hookSample({ ...slow, version: "2" }));
  assert.equal((await rolloutOf(second.rollout)).state, "waiting");
  done(await lab.system.millrace("abort", first.rollout));
  await until("the second bakes", async () => (await rolloutOf(second.rollout)).state === "baking");
  const files = hookSample({ ...quick, version: "3" });
  const third = await lab.ship(lab.repository("queue-3"), files, "--supersede");
  assert.equal(third.rollout?.state, "succeeded", JSON.stringify(third));
  const { state, reason } = await rolloutOf(second.rollout);
  assert.deepEqual([state, reason], ["aborted", "superseded"]);
  assert.equal(onRelease("queue", third.release).length, MACHINES);
});
