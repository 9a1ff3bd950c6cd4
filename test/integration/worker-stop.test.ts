// Builds that are stopped: by their time limit, by a cancel, by another worker's lease, by the end of the
// worker. Nothing that a build started may outlive it, whatever it did to.
import assert from "node:assert/strict";
import { existsSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { after, afterEach, before, test } from "node:test";
import { processStartTime } from "../../runtime/program/process-start.ts";
import { noise } from "../core/release/packed-tree.ts";
import { GitServer } from "./worker-git-server.ts";
import type { GivenLease } from "./worker-queue.ts";
import { type Repository, WorkerWorld } from "./worker-world.ts";

let world: WorkerWorld;
let repository: Repository;
let sha: string;
before(async () => {
  world = await WorkerWorld.open();
  repository = world.repository();
  sha = repository.commit({ file: { bytes: Buffer.from("x") } });
});
after(() => world.close());

/** Processes that each run of FAMILY starts. */
const FAMILY_NAMES = ["leader", "deaf", "background", "grandchild", "session"];
afterEach(() => {
  for (const name of FAMILY_NAMES) {
    if (!existsSync(join(world.folder, name))) continue;
    world.assertEnded(name);
    rmSync(join(world.folder, name));
  }
});

/** Has a process ignore all but SIGKILL. */
const DEAF = "trap '' TERM INT HUP";

/** Starts all that a build may leave, then does `last`; each writes its pid to the folder. */
function family(last: string, habit = ":"): string {
  const at = (name: string): string => `"${world.folder}/${name}"`;
  return `
    echo $$ > ${at("leader")}
    (${habit}; echo $(exec sh -c 'echo $PPID') > ${at("deaf")}; while :; do sleep 1; done) &
    sleep 1000 & echo $! > ${at("background")}
    (sleep 1000 & echo $! > ${at("grandchild")}) &
    setsid sh -c "${habit}; "'echo $$ > ${at("session")}; while :; do sleep 1; done' &
    while ! [ -s ${at("session")} -a -s ${at("grandchild")} -a -s ${at("deaf")} ]; do sleep 0.01; done
    echo all "started"
    ${last}`;
}

/** Waits until the family of a build lives. */
async function started(given: GivenLease): Promise<void> {
  await world.queue.logged(given, "all started");
  for (const name of FAMILY_NAMES) {
    assert.notEqual(processStartTime(world.pid(name)), undefined, `${name} does not live`);
  }
}

/** Builds once more: the worker is free, and nothing of the build before is in its folder. */
async function assertFree(): Promise<void> {
  const { release } = await world.build(repository, sha, { run: "true", output: "file" });
  assert.equal(release.entries, 1);
  await world.queue.until("removed", () => readdirSync(join(world.root, "builds")).length === 0);
  assert.deepEqual(readdirSync(join(world.root, "groups")), []);
}

test("a command that has ended leaves no process", async () => {
  const given = await world.build(repository, sha, { run: family("exit 0"), output: "file" });
  assert.equal(given.release.entries, 1);
});

test("a build that hangs is ended at its time limit, and says so", async () => {
  const given = world.give(repository, sha, { run: family("wait", DEAF), timeout: "4s" });
  await started(given);
  await world.queue.ended(given);
  assert.equal(given.failure.reason, "attempt");
  assert.match(given.failure.message, /took longer than 4.0 s and was ended; raise build.timeout/);
  await world.assertNothingSealed(given);
});

test("an attempt ends by its own time limit, also where the recipe allows more", async () => {
  const given = world.give(repository, sha, { run: family("wait") }, { attemptTimeoutMs: 4_000 });
  await started(given);
  await world.queue.ended(given);
  // The control plane says which of its limits it was.
  assert.deepEqual(given.failure, { reason: "attempt", message: "" });
});

test("a cancelled build ends with all its processes, and hears SIGTERM first", async () => {
  const run = family("trap 'echo heard; exit 1' TERM; while :; do sleep 0.1; done");
  const given = world.give(repository, sha, { run });
  await started(given);
  given.isCancelled = true;
  await world.queue.ended(given);
  assert.equal(given.outcome.$case, "cancelled");
  assert.match(given.text, /^heard$/m);
  await world.assertNothingSealed(given);
  await assertFree();
});

test("a build cancelled while it is packed seals nothing", async () => {
  const run = "mkdir out && head -c 300000000 /dev/urandom > out/a; echo packs now";
  const given = world.give(repository, sha, { run });
  await world.queue.until("packing", () => given.beats.at(-1)?.phase === "pack");
  given.isCancelled = true;
  await world.queue.ended(given);
  assert.equal(given.outcome.$case, "cancelled");
  await world.assertNothingSealed(given);
});

test("a worker whose lease is another's stops, and completes nothing", async () => {
  const given = world.give(repository, sha, { run: family("wait") });
  await started(given);
  given.isFenced = true;
  await assertFree();
  assert.deepEqual(given.completions, []);
});

test("a worker killed in mid-build: its next start ends what it left, and works on", async () => {
  const given = world.give(repository, sha, { run: family("wait") });
  await started(given);
  assert.equal(await world.worker.end("SIGKILL"), "SIGKILL");
  for (const name of FAMILY_NAMES) {
    assert.notEqual(processStartTime(world.pid(name)), undefined, `${name} should live on`);
  }
  await world.start();
  for (const name of FAMILY_NAMES) world.assertEnded(name);
  given.isFenced = true;
  await assertFree();
});

test("a worker killed at each of its failpoints works on after a start", async () => {
  await world.worker.end("SIGTERM");
  for (const place of [
    "worker.after-lease",
    "worker.mid-run",
    "worker.mid-pack",
    "worker.before-complete",
    "worker.after-complete",
  ]) {
    await world.start({ MILLRACE_FAILPOINT: place });
    const run = `echo $$ > "${world.folder}/leader"; mkdir out; cp file out`;
    const given = world.give(repository, sha, { run });
    assert.equal(await world.worker.exited(), "SIGKILL", place);
    assert.equal(given.completions.length, place === "worker.after-complete" ? 1 : 0, place);
    given.isFenced = true;
  }
  await world.start();
  await assertFree();
});

test("a worker killed in mid-fetch leaves no git, and a mirror that still works", async () => {
  const large = world.repository("large");
  const first = large.commit({ file: { bytes: Buffer.from("1") } });
  const server = await GitServer.start(large.path);
  try {
    const build = (commit: string): Promise<GivenLease> =>
      world.build(server.url, commit, { run: "true", output: "file" });
    assert.equal((await build(first)).release.bytes, 1);
    const mirrors = join(world.root, "mirrors");
    const leftOvers = (): string[] =>
      readdirSync(mirrors, { recursive: true, encoding: "utf8" }).filter((path) =>
        /tmp_pack|busy|lock$/.test(path),
      );
    assert.deepEqual(leftOvers(), []);
    const next = large.commit({ file: { bytes: noise(1, 1_000_000) } });
    server.bytesMax = 200_000;
    const stalled = new Promise<void>((resolve) => {
      server.onStall = resolve;
    });
    const given = world.give(server.url, next, { run: "true", output: "file" });
    await stalled;
    const closed = new Promise<void>((resolve) => {
      server.onClose = resolve;
    });
    await world.worker.end("SIGKILL");
    given.isFenced = true;
    assert.notDeepEqual(leftOvers(), []);
    await world.start();
    assert.deepEqual(leftOvers(), []);
    // The connection ends only because the git that the killed worker left has been ended.
    await closed;
    server.bytesMax = Number.POSITIVE_INFINITY;
    assert.equal((await build(next)).release.bytes, 1_000_000);
    assert.deepEqual(leftOvers(), []);
  } finally {
    server.close();
  }
});

test("a build cancelled in mid-fetch ends its git", async () => {
  const server = await GitServer.start(repository.path);
  server.bytesMax = 10;
  try {
    const closed = new Promise<void>((resolve) => {
      server.onClose = resolve;
    });
    const given = world.give(server.url, sha, { run: "true", output: "file" });
    await world.queue.until("fetching", () => given.text.includes("fetching"));
    given.isCancelled = true;
    await world.queue.ended(given);
    assert.equal(given.outcome.$case, "cancelled");
    await closed;
  } finally {
    server.close();
  }
});

test("SIGTERM: the build's processes end, the build is handed back, the worker exits with 0", async () => {
  const given = world.give(repository, sha, { run: family("wait", DEAF) });
  await started(given);
  assert.equal(await world.worker.end("SIGTERM"), 0);
  assert.equal(given.failure.reason, "handed_back");
  for (const name of FAMILY_NAMES) world.assertEnded(name);
  assert.deepEqual(readdirSync(join(world.root, "builds")), []);
  assert.equal(existsSync(join(world.root, "lock")), false);
  await world.start();
});

test("SIGTERM with a control plane that is away: the worker ends all the same", async () => {
  const given = world.give(repository, sha, { run: family("wait") });
  await started(given);
  world.queue.close();
  assert.equal(await world.worker.end("SIGTERM"), 0);
  for (const name of FAMILY_NAMES) world.assertEnded(name);
  await world.queue.open();
  given.isFenced = true;
  await world.start();
  await assertFree();
});

test("a second worker is refused the same root", async () => {
  await assert.rejects(
    world.start(),
    /died with 1: .*millrace worker: .* is in use by process \d+; end it, or choose another --root/s,
  );
});
