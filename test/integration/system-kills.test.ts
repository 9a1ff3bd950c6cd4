// Programs of a whole system die at named places while a ship is under way; it ends well all the same:
// one build, one rollout, each machine on the release, and no release started twice.
import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { Lab } from "../lab/lab.ts";
import type { Repository } from "../lab/repository.ts";
import { httpSample } from "../lab/sample-service.ts";
import type { ShipResult } from "../lab/system.ts";
import { until } from "../lab/until.ts";

const SERVICE = "struck";
const AGENTS = 2;
const ROLLOUT = {
  waves: [{ percent: 50 }, { percent: 100 }],
  failures: "100%",
  maxUnavailable: 100,
};

/**
 * Ships, each with the places at which it is struck, in the order in which it comes by them. Those of
 * one program lie apart: one that dies often is started again later and later.
 */
const SHIPS: readonly (readonly string[])[] = [
  [
    "controlplane.after-submit-txn",
    "controlplane.before-complete-txn",
    "controlplane.before-send",
    "controlplane.after-rollout-txn@2",
  ],
  // Every machine at once, while they stage.
  [
    "relay.after-segment-stored",
    "agent.after-fetch",
    "agent.mid-stage",
    "agent.after-stage",
    "relay.before-permit",
  ],
  [
    "controlplane.before-submit-txn",
    "controlplane.after-complete-txn",
    "controlplane.before-rollout-txn@2",
    "controlplane.after-send@2",
  ],
  ["relay.after-permit", "agent.before-start", "agent.after-start", "agent.before-switch"],
  // A relay may have stored all before the worker has completed: the worker's place has no relay's behind it.
  ["worker.after-complete", "agent.after-switch", "agent.before-drain", "agent.after-drain"],
];

const lab = new Lab();
const armed = lab.path("failpoint");
let repository: Repository;
let version = 0;

before(async () => {
  repository = lab.repository(SERVICE);
  await lab.start({ agents: AGENTS, env: { MILLRACE_FAILPOINT_FILE: armed } });
});
after(() => lab.close());

for (const places of SHIPS) {
  test(`faults 1 and 25: a ship goes on after kills at ${places.join(", ")}`, async () => {
    version += 1;
    const sample = { service: SERVICE, version: `${version}`, rollout: ROLLOUT };
    writeFileSync(armed, places.join("\n"));
    const ship = await lab.ship(repository, httpSample(sample));
    assert.equal(ship.rollout?.state, "succeeded", JSON.stringify(ship));
    const left = existsSync(armed) ? readFileSync(armed, "utf8") : "";
    assert.equal(left, "", `not struck: ${left}`);
    await checkDoneOnce(ship);
  });
}

async function checkDoneOnce({ sha, release, agents }: ShipResult): Promise<void> {
  assert.deepEqual(agents, { total: AGENTS, active: AGENTS });
  const [{ builds }, { rollouts }] = await Promise.all([
    lab.system.read<{ builds: { sha: string; state: string }[] }>("builds"),
    lab.system.read<{ rollouts: { sha: string; state: string }[] }>("rollouts"),
  ]);
  for (const rows of [builds, rollouts]) {
    const states = rows.filter((row) => row.sha === sha).map((row) => row.state);
    assert.deepEqual(states, ["succeeded"]);
  }
  for (const machine of lab.machines()) {
    await until(`${machine.name} runs it`, async () => {
      return (await machine.ask(SERVICE))?.version === `${version}`;
    });
    assert.equal(machine.release(SERVICE), release, machine.name);
    const starts = machine.starts(SERVICE).filter((started) => started === release);
    assert.equal(starts.length, 1, `${machine.name} started it ${starts.length} times`);
  }
}
