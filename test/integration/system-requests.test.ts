// What people ask of a whole system besides a plain ship: the same twice at once, to stop waiting, to
// cancel, to leave machines out.
import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { processStartTime } from "../../runtime/program/process-start.ts";
import { Lab } from "../lab/lab.ts";
import { hookSample } from "../lab/sample-service.ts";
import type { ShipResult } from "../lab/system.ts";
import { until } from "../lab/until.ts";

const rollout = { waves: [{ percent: 100 }], failures: "100%", maxUnavailable: 100 };
const lab = new Lab();
const armed = lab.path("failpoint");
const env = { MILLRACE_FAILPOINT_FILE: armed };
before(() => lab.start({ regions: 2, agents: 2, env }));
after(() => lab.close());

/** Names of the machines that run a release of the service. */
const runners = (service: string): string[] =>
  lab
    .machines()
    .filter((machine) => machine.release(service) !== undefined)
    .map(({ name }) => name);

interface Rows {
  readonly builds: readonly { readonly id: string; readonly state: string }[];
  readonly rollouts: readonly { readonly id: string; readonly state: string }[];
}

test("fault 19: one commit shipped twice at once is one build and one rollout", async () => {
  const repository = lab.repository("twice");
  repository.commit(hookSample({ service: "twice", version: "1", run: "sleep 1", rollout }));
  const ship = (): Promise<ShipResult> => lab.system.ship(repository.path);
  const [one, other] = await Promise.all([ship(), ship()]);
  assert.equal(one.rollout?.state, "succeeded", JSON.stringify(one));
  assert.equal(one.build?.id, other.build?.id);
  assert.equal(one.rollout?.id, other.rollout?.id);
  const { builds } = await lab.system.read<Rows>("builds", "--service", "twice");
  const { rollouts } = await lab.system.read<Rows>("rollouts", "--service", "twice");
  assert.deepEqual([builds.length, rollouts.length], [1, 1]);
  for (const machine of lab.machines()) assert.equal(machine.starts("twice").length, 1);
});

test("who stops waiting gets 124, and the work goes on to its end", async () => {
  const gate = lab.path("gate");
  const run = `until [ -e ${gate} ]; do sleep 0.05; done`;
  const repository = lab.repository("patience");
  repository.commit(hookSample({ service: "patience", version: "1", run, rollout }));
  const stopped = await lab.system.millrace("ship", repository.path, "--timeout", "1s");
  assert.equal(stopped.code, 124, stopped.stderr);
  assert.match(stopped.stderr, /not done after 1s; the work goes on\. Follow it with: millrace/);
  writeFileSync(gate, "");
  await until("every machine runs it", () => runners("patience").length === 4);
});

test("a cancel that the control plane dies of ends the build with all its processes", async () => {
  const pids = lab.path("pids");
  const run = `sleep 1000 & echo $! > ${pids}; (sleep 1001 & echo $! >> ${pids}; wait) & echo $! >> ${pids}; wait`;
  const repository = lab.repository("cancelled");
  const sha = repository.commit(hookSample({ service: "cancelled", version: "1", run, rollout }));
  const shipping = lab.system.millrace("ship", repository.path, "--json");
  const started = (): number[] =>
    existsSync(pids) ? readFileSync(pids, "utf8").trim().split("\n").map(Number) : [];
  await until("the command runs", () => started().length === 3);
  const { builds } = await lab.system.read<Rows>("builds", "--open");
  writeFileSync(armed, "controlplane.before-cancel-txn");
  const cancelled = await lab.system.millrace("cancel", builds[0]?.id ?? "", "--json");
  assert.equal(cancelled.code, 0, cancelled.stderr);
  assert.ok(!existsSync(armed), "the control plane died");
  const { code, stdout } = await shipping;
  assert.equal(code, 1);
  assert.equal(JSON.parse(stdout).build.state, "cancelled");
  await until("its processes are gone", () =>
    started().every((pid) => processStartTime(pid) === undefined),
  );
  const { rollouts } = await lab.system.read<Rows>("rollouts", "--service", "cancelled");
  assert.deepEqual(rollouts, []);
  const release = await lab.system.millrace("releases", sha, "--json");
  assert.equal(release.code, 2, release.stdout);
});

test("a command that fails: its log is shown, and the build has failed", async () => {
  const run = "echo on stdout; echo on stderr >&2; exit 9";
  const repository = lab.repository("failing");
  repository.commit(hookSample({ service: "failing", version: "1", run, rollout }));
  const { code, stderr } = await lab.system.millrace("ship", repository.path);
  assert.equal(code, 1);
  assert.match(stderr, /on stdout\non stderr/);
  const { builds } = await lab.system.read<Rows>("builds", "--failing", "--service", "failing");
  assert.deepEqual(
    builds.map(({ state }) => state),
    ["failed"],
  );
});

test("targets and a region that is left out decide which machines get it", async () => {
  const labelled = { service: "labelled", version: "1" };
  const targets = { index: "2", role: "web" };
  const files = hookSample({ ...labelled, rollout: { ...rollout, targets } });
  const regional = hookSample({ service: "regional", version: "1", rollout });
  const repository = lab.repository("regional");
  const ships = await Promise.all([
    lab.ship(lab.repository("labelled"), files),
    lab.ship(repository, regional, "--exclude-region", "us-east"),
  ]);
  for (const ship of ships) {
    assert.deepEqual(ship.agents, { total: 2, active: 2 }, JSON.stringify(ship));
  }
  assert.deepEqual(runners("labelled"), ["agent-eu-west-2", "agent-us-east-2"]);
  assert.deepEqual(runners("regional"), ["agent-eu-west-1", "agent-eu-west-2"]);

  // "Explicit, recorded, and it catches up later": with the next that leaves nothing out.
  const whole = await lab.system.ship(repository.path, "--rebuild");
  assert.deepEqual(whole.agents, { total: 4, active: 4 }, JSON.stringify(whole));
});
