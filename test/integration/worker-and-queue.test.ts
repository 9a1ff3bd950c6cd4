// A real worker under a real control plane: what a build's user sees of it when processes die on the way.
// The parts are tested by themselves against scripted ones; this is where they meet.
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { type Build, BuildState } from "../../proto/gen/millrace/v1/builds.ts";
import { call } from "../../runtime/grpc/client.ts";
import { processStartTime } from "../../runtime/program/process-start.ts";
import { BadWire } from "../contracts/bad-wire.ts";
import { until } from "../lab/until.ts";
import { type ControlPlane, startControlPlane } from "./controlplane-process.ts";
import { type RecipeFields, Repository, recipe, WorkerProcess } from "./worker-world.ts";

let folder: string;
let plane: ControlPlane;
let worker: WorkerProcess;
let repository: Repository;
before(async () => {
  folder = mkdtempSync(join(tmpdir(), "millrace-worker-queue-"));
  plane = await startControlPlane(folder, { flags: ["--build-detect", "2000"] });
  await startWorker();
  repository = new Repository(join(folder, "repository"));
});
after(async () => {
  await worker.end("SIGKILL");
  await plane.end("SIGKILL");
  rmSync(folder, { recursive: true, force: true });
});

const portOf = (address: string): number => Number(address.split(":").at(-1));

async function startWorker(
  env: Record<string, string> = {},
  address = plane.address,
): Promise<void> {
  const [root, origin] = [join(folder, "worker"), join(folder, "origin")];
  worker = await WorkerProcess.start(root, origin, portOf(address), env);
}

let commits = 0;
async function submit(fields: RecipeFields): Promise<string> {
  commits += 1;
  const ref = repository.commit({ file: { bytes: Buffer.from(`${commits}`) } });
  const request = { repository: repository.path, ref, recipe: recipe(fields) };
  const { build } = await call(plane.builds, plane.builds.submitBuild, {
    ...{ service: "", rebuild: false, ship: undefined, requester: "", overallTimeoutMs: 0 },
    ...request,
  });
  return (build as Build).id;
}

/** Watches a build to its end, or until it is as wanted. */
async function watch(id: string, isWanted?: (build: Build) => boolean): Promise<Build> {
  const stream = plane.builds.watchBuild({ id });
  let last: Build | undefined;
  for await (const { build } of stream as AsyncIterable<{ build: Build }>) {
    last = build;
    if (isWanted?.(build) === true) break;
  }
  stream.on("error", () => {});
  stream.cancel();
  assert.ok(last);
  return last;
}

const running = (build: Build): boolean => build.phase === "run";

async function log(id: string, attempt: number): Promise<string> {
  const stream = plane.builds.tailLog({ id, attempt, offset: 0, follow: false });
  const runs: Buffer[] = [];
  for await (const { data } of stream as AsyncIterable<{ data: Buffer }>) runs.push(data);
  return Buffer.concat(runs).toString();
}

/** A command that waits for a file of the folder, and leaves its pid. */
const waits = (name: string): string =>
  `echo $$ > "${folder}/pid"; while ! [ -e "${folder}/${name}" ]; do sleep 0.02; done; seq 2000`;

/** Asserts that the last command that waited has ended. */
function assertEnded(): void {
  const pid = Number(readFileSync(join(folder, "pid"), "utf8"));
  assert.equal(processStartTime(pid), undefined);
}

test("fault 18: a worker killed in mid-build: the build is done again, and succeeds", async () => {
  await worker.end("SIGTERM");
  await startWorker({ MILLRACE_FAILPOINT: "worker.mid-run" });
  const id = await submit({ run: "echo a line; sleep 0.2", output: "file" });
  assert.equal(await worker.exited(), "SIGKILL");
  await startWorker();
  const build = await watch(id);
  assert.equal(build.state, BuildState.BUILD_STATE_SUCCEEDED, build.message);
  assert.equal(build.attempt, 2);
  assert.match(await log(id, 2), /\na line\nmillrace: packing file\n/);
});

const LOST: readonly [
  what: string,
  away: (wire: BadWire) => void,
  back: (wire: BadWire) => void,
][] = [
  ["paused", () => process.kill(worker.pid, "SIGSTOP"), () => process.kill(worker.pid, "SIGCONT")],
  ["cut off", (wire) => wire.cut(), (wire) => wire.mend()],
];

for (const [what, away, back] of LOST) {
  test(`fault 18: a worker that was ${what} for too long: only the next attempt counts, both logs stay`, async (t) => {
    await worker.end("SIGTERM");
    const wire = await BadWire.listen(plane.address);
    t.after(() => wire.close());
    await startWorker({}, wire.address);
    const id = await submit({
      run: `echo "begun by $MILLRACE_ATTEMPT"; ${waits(what)}`,
      output: "file",
    });
    await watch(id, running);
    // The command itself stands in the log before what it prints.
    const begun = (attempt: number) => new RegExp(`^begun by ${id}.${attempt}$`, "m");
    await until("its first line", async () => begun(1).test(await log(id, 1)));
    away(wire);
    const other = await WorkerProcess.start(
      join(folder, "other-worker"),
      join(folder, "origin"),
      portOf(plane.address),
    );
    t.after(() => other.end("SIGKILL"));
    await watch(id, (build) => build.attempt === 2 && running(build));
    writeFileSync(join(folder, what), "");
    const build = await watch(id);
    assert.equal(build.state, BuildState.BUILD_STATE_SUCCEEDED, build.message);
    assert.equal(build.attempt, 2);
    await other.end("SIGKILL");
    back(wire);
    // The first worker takes another build: it has heard that its lease was lost.
    const next = await watch(await submit({ run: "true", output: "file" }));
    assert.equal(next.state, BuildState.BUILD_STATE_SUCCEEDED, next.message);
    const { build: ended } = await call(plane.builds, plane.builds.getBuild, { id });
    assert.equal(ended?.attempt, 2);
    assert.match(await log(id, 1), begun(1));
    assert.doesNotMatch(await log(id, 1), /packing/);
    assert.match(await log(id, 2), begun(2));
    await worker.end("SIGTERM");
    await startWorker();
  });
}

test("fault 20: a build that kills its worker is given up after three, and the queue goes on", async () => {
  const id = await submit({ run: "kill -9 $PPID; sleep 5", output: "file" });
  const next = await submit({ run: "true", output: "file" });
  for (let delivery = 1; delivery <= 3; delivery += 1) {
    assert.equal(await worker.exited(), "SIGKILL", `delivery ${delivery}`);
    await startWorker();
  }
  const poison = await watch(id);
  assert.equal(poison.state, BuildState.BUILD_STATE_FAILED);
  assert.deepEqual([poison.reason, poison.attempt], ["worker_lost", 3]);
  const good = await watch(next);
  assert.equal(good.state, BuildState.BUILD_STATE_SUCCEEDED, good.message);
});

test("a worker that shuts down hands its build to the next at once", async () => {
  const id = await submit({ run: waits("handed"), output: "file" });
  await watch(id, running);
  assert.equal(await worker.end("SIGTERM"), 0);
  writeFileSync(join(folder, "handed"), "");
  const queued = await watch(id, ({ state }) => state === BuildState.BUILD_STATE_QUEUED);
  assert.equal(queued.state, BuildState.BUILD_STATE_QUEUED);
  await startWorker();
  const build = await watch(id);
  assert.equal(build.state, BuildState.BUILD_STATE_SUCCEEDED, build.message);
  assert.equal(build.attempt, 2);
  assert.match(await log(id, 1), /^millrace: failed \(handed_back\): the worker shuts down$/m);
});

test("a control plane killed in mid-build: the build goes on, and ends as it would have", async () => {
  const id = await submit({ run: waits("killed"), output: "file" });
  await watch(id, running);
  const { address } = plane;
  await plane.end("SIGKILL");
  writeFileSync(join(folder, "killed"), "");
  // From here on no worker is lost: the window is the usual one, which a busy machine keeps.
  plane = await startControlPlane(folder, { flags: ["--listen", address] });
  const build = await watch(id);
  assert.equal(build.state, BuildState.BUILD_STATE_SUCCEEDED, build.message);
  assert.equal(build.attempt, 1);
  const printed = (await log(id, 1)).replace(/^millrace: .*\n/gm, "");
  assert.equal(printed, Array.from({ length: 2000 }, (_, i) => `${i + 1}\n`).join(""));
});

test("a build that hangs times out, and its processes end", async () => {
  const id = await submit({ run: waits("never"), output: "file", timeout: "300ms" });
  const build = await watch(id);
  assert.equal(build.state, BuildState.BUILD_STATE_TIMED_OUT);
  assert.equal(build.reason, "attempt");
  assert.match(build.message, /longer than 300 ms/);
  assertEnded();
});

test("a cancelled build ends with its processes", async () => {
  const id = await submit({ run: waits("never"), output: "file" });
  await watch(id, running);
  await call(plane.builds, plane.builds.cancelBuild, { id, requester: "" });
  const build = await watch(id);
  assert.equal(build.state, BuildState.BUILD_STATE_CANCELLED);
  assertEnded();
});

test("a command that fails, and its log", async () => {
  const id = await submit({ run: "echo trouble; exit 3", output: "file" });
  const build = await watch(id);
  assert.equal(build.state, BuildState.BUILD_STATE_FAILED);
  assert.equal(build.reason, "command");
  assert.match(await log(id, 0), /^trouble\nmillrace: failed \(command\): /m);
});
