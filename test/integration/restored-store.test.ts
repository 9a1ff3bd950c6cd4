// A store that is put back to a backup: the leader notices by what relays have seen, decides nothing, and says
// what is lost; once an operator says so, it is obeyed, also by machines that have seen higher epochs.
import assert from "node:assert/strict";
import { cpSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { Lab } from "../lab/lab.ts";
import { httpSample } from "../lab/sample-service.ts";
import { until } from "../lab/until.ts";

const SERVICE = "kept";
const ALL_AT_ONCE = { waves: [{ percent: 100 }], failures: "100%", maxUnavailable: 100 };
/** Epochs of the first incarnation after a restore are above this. */
const RAISED = 2 ** 32;

const lab = new Lab();
after(() => lab.close());

interface Answer {
  readonly leader: { readonly epoch: number };
  readonly behind?: { readonly relay: string; readonly epoch: number };
  readonly missing?: { service: string; rollout: string; release: string; build: string }[];
  readonly heard?: string[];
  readonly kept?: string[];
}

const sample = (version: string) => httpSample({ service: SERVICE, version, rollout: ALL_AT_ONCE });
const answers = () => Promise.all(lab.machines().map((machine) => machine.ask(SERVICE)));
const store = lab.path("up", "controlplane");
const backup = lab.path("backup");

/** Epochs that machines hold to be the highest. */
const machineEpochs = () =>
  lab.machines().map(({ path }) => {
    const text = readFileSync(join(path, SERVICE, "state.json"), "utf8");
    return (JSON.parse(text) as { journal: { epoch: number } }).journal.epoch;
  });

/** Puts the backup in the place of the store, while only the control plane is down. */
async function putBack(): Promise<void> {
  const [{ pid } = { pid: 0 }] = lab.system.children("controlplane");
  lab.system.supervise(false);
  process.kill(pid, "SIGKILL");
  await until("its end", () => readFileSync(`/proc/${pid}/stat`, "utf8").includes(") Z "));
  rmSync(store, { recursive: true });
  cpSync(backup, store, { recursive: true });
  lab.system.supervise(true);
}

test("fault 32: a SQLite store restored from a backup says what it lost, and is obeyed when told to go on", async () => {
  const repository = lab.repository(SERVICE);
  await lab.start({ regions: 1, agents: 2 });
  const first = await lab.ship(repository, sample("1"));
  assert.equal(first.rollout?.state, "succeeded", JSON.stringify(first));
  lab.system.signal("controlplane", "SIGSTOP");
  cpSync(store, backup, { recursive: true });
  lab.system.signal("controlplane", "SIGCONT");

  const second = await lab.ship(repository, sample("2"));
  assert.equal(second.rollout?.state, "succeeded", JSON.stringify(second));
  for (let terms = 0; terms < 2; terms += 1) await lab.system.read("leader", "--resign");
  await until("the machines to follow", () => machineEpochs().every((epoch) => epoch === 3));
  const before = await answers();
  await putBack();

  const held = await until("what is missing", async () => {
    // Between two terms nobody leads for a moment.
    const { code, stdout } = await lab.system.millrace("leader", "--json");
    const answer = code === 0 ? (JSON.parse(stdout) as Answer) : undefined;
    return answer?.heard?.length === 1 && answer;
  });
  assert.equal(held.behind?.epoch, 3);
  assert.deepEqual(held.missing, [
    {
      service: SERVICE,
      rollout: second.rollout?.id,
      release: second.release,
      sha: second.sha,
      build: second.build?.id,
    },
  ]);
  const refused = await lab.system.millrace("ship", repository.path, "--no-wait");
  assert.notEqual(refused.code, 0);
  assert.match(refused.stderr, /millrace leader --raise-incarnation/);

  const raised = await lab.system.read<Answer>("leader", "--raise-incarnation");
  assert.deepEqual(raised.missing, held.missing);
  assert.deepEqual(raised.kept, [SERVICE]);
  assert.ok(raised.leader.epoch > RAISED);
  await until("the machines to follow", () => machineEpochs().every((epoch) => epoch > RAISED));
  assert.deepEqual(await answers(), before, "nothing was switched, nothing started anew");
  const again = await lab.system.millrace("leader", "--raise-incarnation");
  assert.match(again.stderr, /nothing to raise/);

  const third = await lab.ship(repository, sample("3"));
  assert.equal(third.rollout?.state, "succeeded", JSON.stringify(third));
  for (const answer of await answers()) assert.equal(answer?.version, "3");
});
