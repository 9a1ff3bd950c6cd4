// A store that is put back to a backup: the leader notices by what relays have seen, decides nothing, and says
// what is lost; once an operator says so, it is obeyed, also by machines that have seen higher epochs.
import assert from "node:assert/strict";
import { copyFileSync, mkdirSync, readFileSync, rmSync, statSync } from "node:fs";
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
const repository = lab.repository(SERVICE);
const store = lab.path("up", "controlplane");
/** What the control plane makes, and what is kept of it as an operator does. */
const made = lab.path("made.db");
const backup = lab.path("backup.db");

/** Epochs that machines hold to be the highest. */
const machineEpochs = () =>
  lab.machines().map(({ path }) => {
    const text = readFileSync(join(path, SERVICE, "state.json"), "utf8");
    return (JSON.parse(text) as { journal: { epoch: number } }).journal.epoch;
  });

/** Puts a backup, or nothing, in the place of the store, while only the control plane is down. */
async function lose(from?: string): Promise<void> {
  const [{ pid } = { pid: 0 }] = lab.system.children("controlplane");
  lab.system.supervise(false);
  process.kill(pid, "SIGKILL");
  await until("its end", () => readFileSync(`/proc/${pid}/stat`, "utf8").includes(") Z "));
  rmSync(store, { recursive: true });
  mkdirSync(store);
  if (from !== undefined) copyFileSync(from, join(store, "millrace.db"));
  lab.system.supervise(true);
}

/** Whether a backup was made of a moment after this one: the second that is seen to be whole since. */
function madeSince(): () => boolean {
  const modified = () => statSync(made, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  const seen = new Set([modified()]);
  return () => seen.add(modified()).size > 2;
}

/** What a leader that decides nothing says, once the relay has told it everything. */
const missing = () =>
  until("what is missing", async () => {
    // Between two terms nobody leads for a moment.
    const { code, stdout } = await lab.system.millrace("leader", "--json");
    const answer = code === 0 ? (JSON.parse(stdout) as Answer) : undefined;
    return answer?.heard?.length === 1 && answer;
  });

test("fault 32: a SQLite store restored from a backup says what it lost, and is obeyed when told to go on", async () => {
  await lab.start({ regions: 1, agents: 2, storeBackup: made });
  const first = await lab.ship(repository, sample("1"));
  assert.equal(first.rollout?.state, "succeeded", JSON.stringify(first));
  await until("a backup of now", madeSince());
  copyFileSync(made, backup);

  const second = await lab.ship(repository, sample("2"));
  assert.equal(second.rollout?.state, "succeeded", JSON.stringify(second));
  for (let terms = 0; terms < 2; terms += 1) await lab.system.read("leader", "--resign");
  await until("the machines to follow", () => machineEpochs().every((epoch) => epoch === 3));
  const before = await answers();
  await lose(backup);

  const held = await missing();
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

test("an empty store in its place: the relay is told that it is another, until an operator says that it takes over", async () => {
  const log = lab.path("up", "logs", "relay-eu-west-1.log");
  const saidBefore = readFileSync(log, "utf8").length;
  const before = await answers();
  await lose();
  await until("the relay to be told", () =>
    /has followed the store s-[0-9a-f]{16}, and this is another one/.test(
      readFileSync(log, "utf8").slice(saidBefore),
    ),
  );
  const { behind } = await lab.system.read<Answer>("leader");
  assert.equal(behind, undefined, "it leads on, for relays of its own");

  await lab.system.read("leader", "--restored");
  assert.equal((await missing()).missing?.[0]?.service, SERVICE);
  const raised = await lab.system.read<Answer>("leader", "--raise-incarnation");
  assert.ok(raised.leader.epoch > 2 * RAISED, "above all that the relay had seen");
  await until("the machines to follow", () => machineEpochs().every((epoch) => epoch > 2 * RAISED));
  assert.deepEqual(await answers(), before, "nothing was switched, nothing started anew");
  const fourth = await lab.ship(repository, sample("4"));
  assert.equal(fourth.rollout?.state, "succeeded", JSON.stringify(fourth));
});
