// The worker with its surroundings failing: the control plane away or refusing, the log flooded, the disks
// full. The build goes on where it can, and ends with a clear word where it cannot.
import assert from "node:assert/strict";
import { readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { mountSmallDisk } from "../contracts/small-disk.ts";
import { noise } from "../core/release/packed-tree.ts";
import { until } from "../lab/until.ts";
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

/** A shell command that goes on once the test has made the file `name`. */
const waitFor = (name: string): string =>
  `while ! [ -e "${join(world.folder, name)}" ]; do sleep 0.02; done`;
const make = (name: string): void => writeFileSync(join(world.folder, name), "");

/** What the command printed: the log without the worker's own lines. */
const printed = (given: GivenLease): string => given.text.replace(/^millrace: .*\n/gm, "");

test("the log arrives while the command runs, in order, each byte once", async () => {
  const run = `echo one; ${waitFor("two")}; echo two; ${waitFor("end")}; printf three`;
  const given = world.give(repository, sha, { run, output: "file" });
  await world.queue.logged(given, "\none\n");
  make("two");
  await world.queue.logged(given, "\ntwo\n");
  assert.deepEqual(given.completions, []);
  make("end");
  await world.queue.ended(given);
  assert.match(given.text, /\none\ntwo\nthreemillrace: packing file\n/);
});

test("a log that cannot be appended for a while, or whose answers get lost, is repeated", async () => {
  const count = 20_000;
  const run = `i=0; while [ $i -lt ${count} ]; do echo "line $i"; i=$((i+1)); done`;
  const given = world.give(repository, sha, { run, output: "file" });
  given.logFaults = 3;
  given.lostAnswers = 2;
  await world.queue.ended(given);
  assert.equal(given.outcome.$case, "release");
  const lines = Array.from({ length: count }, (_, i) => `line ${i}\n`);
  assert.equal(printed(given), lines.join(""));
  assert.deepEqual([given.logFaults, given.lostAnswers], [0, 0]);
});

test("a control plane that is away delays the word, not the build", async () => {
  const run = `echo begun; ${waitFor("away")}; seq 1000; touch "${world.folder}/done"`;
  const given = world.give(repository, sha, { run, output: "file" });
  await world.queue.logged(given, "\nbegun\n");
  world.queue.close();
  make("away");
  // The command ends meanwhile, and the attempt gets as far as asking for earlier releases.
  await until("done", () => readdirSync(world.folder).includes("done"));
  assert.deepEqual(given.completions, []);
  await world.queue.open();
  await world.queue.ended(given);
  assert.equal(given.release.entries, 1);
  const numbers = Array.from({ length: 1000 }, (_, i) => `${i + 1}\n`);
  assert.equal(printed(given), `begun\n${numbers.join("")}`);
});

test("a control plane that is away while a worker starts is waited for", async () => {
  await world.worker.end("SIGTERM");
  world.queue.close();
  await world.start();
  await world.queue.open();
  const given = await world.build(repository, sha, { run: "true", output: "file" });
  assert.equal(given.release.entries, 1);
});

test("a log that is refused for good ends the log, not the build", async () => {
  const given = world.give(repository, sha, { run: "echo unheard", output: "file" });
  given.isLogClosed = true;
  await world.queue.ended(given);
  assert.equal(given.release.entries, 1);
  assert.equal(given.text, "");
});

test("a flood of log is cut, and does not fill the disk", async () => {
  const run = `yes 0123456789abcdef | head -c 300000000; ${waitFor("flooded")}; exit 3`;
  const given = world.give(repository, sha, { run });
  const log = join(world.root, "builds", `${given.lease.build}.1`, "log");
  const limit = 64 * 1024 * 1024;
  await world.queue.until("cut", () => given.length > limit);
  await until("cut off", () => statSync(log).size <= limit);
  make("flooded");
  await world.queue.ended(given);
  const end = given.text.slice(limit);
  assert.match(
    end,
    /^\nmillrace: the build's log is cut here, at 67108864 bytes\nmillrace: failed \(command\): /,
  );
  assert.ok(given.length < limit + 1_000);
});

test("fault 12: a full disk in mid-build is a clear failure, and leaves nothing", async () => {
  const disk = mountSmallDisk(8_192, 5_000);
  const small = await WorkerWorld.open({ root: join(disk.path, "root") });
  try {
    const full = await small.build(repository, sha, { run: "head -c 20M /dev/zero > big" });
    assert.deepEqual(full.failure, {
      reason: "command",
      message: "the build's command ended with 1, and the worker's disk is full",
    });
    await small.queue.until("removed", () => readdirSync(join(small.root, "builds")).length === 0);
    const flood = await small.build(repository, sha, { run: "head -c 20M /dev/zero; exit 5" });
    assert.match(
      flood.failure.message,
      /^the build's command ended with \d, and the worker's disk/,
    );
    const large = small.repository("large");
    const commit = large.commit({ big: { bytes: noise(1, 20_000_000) } });
    const unfetched = await small.build(large, commit, { run: "true", output: "big" });
    assert.equal(unfetched.failure.reason, "worker");
    assert.match(
      unfetched.failure.message,
      /^the worker's disk is full: cannot fetch [0-9a-f]{40}/,
    );
    const good = await small.build(repository, sha, { run: "true", output: "file" });
    assert.equal(good.release.entries, 1);
  } finally {
    await small.close();
    disk.remove();
  }
});

test("fault 12: a full origin is a clear failure, and the next build works", async () => {
  const disk = mountSmallDisk(4_096, 5_000);
  const small = await WorkerWorld.open({ origin: join(disk.path, "origin") });
  try {
    const run = "mkdir out && head -c 20M /dev/urandom > out/a";
    const full = await small.build(repository, sha, { run });
    assert.equal(full.failure.reason, "worker");
    assert.match(full.failure.message, /^the origin is full: /);
    await small.assertNothingSealed(full);
    disk.resize(65_536);
    const good = await small.build(repository, sha, { run });
    assert.equal(good.release.bytes, 20 * 1024 * 1024);
  } finally {
    await small.close();
    disk.remove();
  }
});

test("what is kept between builds is bounded", async () => {
  const mirrors = join(world.root, "mirrors");
  const old = Array.from({ length: 120 }, (_, i) => join(mirrors, `old-${i}.git`));
  for (const path of old) writeFileSync(path, "");
  const fresh = world.repository("fresh");
  const commit = fresh.commit({ file: { bytes: Buffer.from("1") } });
  await world.build(fresh, commit, { run: "true", output: "file" });
  assert.equal(readdirSync(mirrors).length, 100);
  rmSync(fresh.path, { recursive: true });
  await world.build(fresh.path, commit, { run: "true", output: "file" });
});
