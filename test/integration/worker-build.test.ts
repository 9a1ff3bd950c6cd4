// Builds that succeed: what the worker checks out, what its command finds, and what lies at the origin
// afterwards, compared byte for byte with what the command made.
import assert from "node:assert/strict";
import {
  chmodSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { listTree, noise } from "../core/release/packed-tree.ts";
import { CANARY, type Repository, recipe, WorkerWorld } from "./worker-world.ts";

let world: WorkerWorld;
let repository: Repository;
before(async () => {
  world = await WorkerWorld.open();
  repository = world.repository();
});
after(() => world.close());

const text = (value: string) => ({ bytes: Buffer.from(value) });

test("a commit with its own recipe becomes a release, byte for byte", async () => {
  const run =
    "mkdir -p out/sub && cp -a src/. out/ && ln -s ../big out/sub/link && mkdir out/empty";
  const sha = repository.commit({
    "millrace.yaml": text(recipe({ run, service: "hello" })),
    "src/big": { bytes: noise(1, 3_000_000) },
    "src/sub/tool.sh": { bytes: Buffer.from("#!/bin/sh\n"), mode: 0o755 },
    "src/ünï/empty file": text(""),
  });
  const given = await world.build(repository, sha);
  const { release } = given;
  assert.equal(release.sha, sha);
  assert.equal(release.service, "hello");
  assert.equal(release.build, given.lease.build);
  assert.equal(release.bytes, 3_000_010);
  assert.equal(release.entries, 5);
  assert.equal(release.singleFile, false);
  assert.deepEqual(release.activation?.exec, ["true"]);
  assert.equal(release.rollout?.waves.length, 1);
  const pack = `${given.lease.build}.1`;
  assert.deepEqual(
    release.layout?.packs.map((each) => each.pack),
    [pack],
  );

  const expected = join(world.folder, "expected");
  const src = join(repository.path, "src");
  mkdirSync(join(src, "empty"));
  symlinkSync("../big", join(src, "sub/link"));
  renameSync(src, expected);
  assert.deepEqual(await world.unpacked(given), listTree(expected));

  const phases = new Set(given.beats.map((beat) => beat.phase));
  for (const phase of phases) assert.ok(["fetch", "run", "pack"].includes(phase), phase);
  assert.equal(
    given.beats.every((beat) => beat.service === "" || beat.service === "hello"),
    true,
  );
  assert.match(given.text, /^millrace: fetching .*\n/);
  await world.queue.until("removed", () => readdirSync(join(world.root, "builds")).length === 0);
});

test("a second build adds only what changed", async () => {
  const tree = { "out/a": { bytes: noise(2, 4_000_000) }, "out/b": { bytes: noise(3, 4_000_000) } };
  const first = await world.build(repository, repository.commit(tree), { run: "true" });
  assert.ok(first.release.packedBytes > 8_000_000);
  world.queue.base = [first.release];
  const changed = { ...tree, "out/c": { bytes: noise(4, 100_000) } };
  const second = await world.build(repository, repository.commit(changed), { run: "true" });
  world.queue.base = [];
  assert.ok(second.release.packedBytes < 300_000, `${second.release.packedBytes} new bytes`);
  assert.equal(second.release.bytes, 8_100_000);
  assert.equal(second.release.layout?.packs.length, 2);
  assert.deepEqual(await world.unpacked(second), listTree(join(repository.path, "out")));
  assert.deepEqual(readdirSync(join(world.root, "bases")), [first.release.release]);
});

test("a base that is gone from the origin, or not what it says, only costs bytes", async () => {
  const tree = { "out/a": { bytes: noise(5, 500_000) } };
  const sha = repository.commit(tree);
  const first = await world.build(repository, sha, { run: "true" });
  const { release } = first;
  const gone = structuredClone(release);
  for (const pack of gone.layout?.packs ?? []) pack.pack = "b-00000000deadbeef.1";
  const wrong = structuredClone(release);
  for (const pack of wrong.layout?.packs ?? []) pack.tableDigest = Buffer.alloc(32, 7);
  world.queue.base = [gone, wrong];
  const second = await world.build(repository, sha, { run: "true" });
  world.queue.base = [];
  assert.equal(second.release.release, release.release);
  assert.deepEqual(await world.unpacked(second), listTree(join(repository.path, "out")));
});

test("segments are told as they are stored, while the attempt goes on", async () => {
  const sha = repository.commit({ file: text("x") });
  const run = "mkdir out && head -c 80000000 /dev/urandom > out/a";
  const given = await world.build(repository, sha, { run });
  const told = given.beats.map((beat) => beat.segments);
  assert.deepEqual(
    told,
    told.toSorted((a, b) => a - b),
  );
  assert.ok((told.at(-1) as number) > 0, `segments told: ${told}`);
});

test("the commit is checked out, not the branch, which has moved on", async () => {
  const sha = repository.commit({ file: text("old") });
  repository.commit({ file: text("new"), other: text("") });
  const run = "mkdir out && cp * out 2>/dev/null; git rev-parse HEAD";
  const given = await world.build(repository, sha, { run });
  assert.equal(given.release.bytes, 3);
  assert.match(given.text, new RegExp(`^${sha}$`, "m"));
});

test("a commit that no branch reaches is fetched by its SHA", async () => {
  const other = world.repository("by-sha");
  other.commit({ file: text("kept") });
  const lost = other.commit({ file: text("lost commit") });
  other.git("reset", "--quiet", "--hard", "HEAD~1");
  other.git("reflog", "expire", "--expire=now", "--all");
  const given = await world.build(other, lost, { run: "true", output: "file" });
  assert.equal(given.release.bytes, 11);
  assert.equal(given.release.singleFile, true);
});

test("a commit that was fetched once needs its repository no more", async () => {
  const other = world.repository("mirrored");
  const sha = other.commit({ file: text("here") });
  const first = await world.build(other, sha, { run: "true", output: "file" });
  rmSync(other.path, { recursive: true });
  const second = await world.build(other.path, sha, { run: "true", output: "file" });
  assert.equal(second.release.release, first.release.release);
});

test("threat 27: the environment of the command is clean", async () => {
  const sha = repository.commit({ file: text("x") });
  const run = "env -0 | tr '\\0' '\\n' | sort; touch $TMPDIR/t $HOME/h; mkdir out; cp file out";
  const given = await world.build(repository, sha, { run, service: "clean" });
  assert.equal(given.release.entries, 1);
  assert.equal(given.text.includes(CANARY), false);
  const names = [...given.text.matchAll(/^([A-Z_a-z]+)=/gm)].map((match) => match[1]);
  assert.deepEqual(
    names.filter((name) => !["_", "SHLVL", "OLDPWD", "PWD"].includes(name!)),
    [
      ...["CI", "HOME", "LANG", "MILLRACE_ATTEMPT", "MILLRACE_BUILD", "MILLRACE_SERVICE"],
      ...["MILLRACE_SHA", "MILLRACE_WORKER", "PATH", "TMPDIR"],
    ],
  );
  assert.match(given.text, new RegExp(`^HOME=${world.root}/home/clean$`, "m"));
});

test("the command finds nothing on stdin, and no open file of the worker", async () => {
  const sha = repository.commit({ file: text("x") });
  const given = await world.build(repository, sha, {
    run: "cat; ls -l /proc/self/fd",
    output: "file",
  });
  assert.equal(given.release.bytes, 1);
  // What the tests themselves were started with reaches the command too.
  const open = [...given.text.matchAll(/ -> (.*)$/gm)].map((match) => match[1] as string);
  const ours = open.filter((path) => path.startsWith("socket:") || path.startsWith(world.folder));
  const log = join(world.root, "builds", `${given.lease.build}.1`, "log");
  assert.deepEqual(ours, [log, log]);
});

const OUTPUTS: readonly [name: string, run: string, output: string, lines: readonly string[]][] = [
  ["the checkout itself", "touch made", ".", ["made 644", "sub/file 644"]],
  ["a folder by a roundabout path", "true", "./sub//", ["file 644"]],
  ["a link to a folder of the checkout", "ln -s sub out", "out", ["file 644"]],
  ["a name that looks like an option", "mkdir -- -rf; touch -- -rf/x", "-rf", ["x 644"]],
  [
    "a name that a shell would run",
    `mkdir '$(touch pwned); echo "'; touch '$(touch pwned); echo "'/x`,
    '$(touch pwned); echo "',
    ["x 644"],
  ],
  ["folders that nobody may write into", "mkdir -p o/a/b; chmod 500 o/a/b o/a", "o", ["a/b/ 500"]],
];

for (const [name, run, output, lines] of OUTPUTS) {
  test(`threat 27: output: ${name}`, async () => {
    const sha = repository.commit({ "sub/file": text("x") });
    const given = await world.build(repository, sha, { run, output });
    const found = (await world.unpacked(given)).map((line) => line.replace(/ [0-9a-f]{64}$/, ""));
    assert.deepEqual(found, lines);
    await world.queue.until("removed", () => readdirSync(join(world.root, "builds")).length === 0);
    assert.equal(readdirSync(repository.path).includes("pwned"), false);
  });
}

test("threat 27: repositories with names that a shell would run are only names", async () => {
  for (const name of ["a b", "$(touch pwned)", "; touch pwned #", "'\"`touch pwned`", "-u", "é"]) {
    const other = world.repository(name);
    const sha = other.commit({ file: text(name) });
    const given = await world.build(other, sha, { run: "true", output: "file" });
    assert.equal(given.release.bytes, Buffer.byteLength(name));
    assert.equal(readdirSync(join(world.root, "mirrors")).includes("pwned"), false);
  }
});

test("a damaged mirror, or one that a killed git left locked, is mended", async () => {
  const other = world.repository("mended");
  const build = async (content: string): Promise<number> => {
    const sha = other.commit({ file: text(content) });
    return (await world.build(other, sha, { run: "true", output: "file" })).release.bytes;
  };
  const before = new Set(readdirSync(join(world.root, "mirrors")));
  assert.equal(await build("1"), 1);
  const [name] = readdirSync(join(world.root, "mirrors")).filter((each) => !before.has(each));
  const mirror = join(world.root, "mirrors", name as string);
  for (const left of ["millrace-busy", "packed-refs.lock", "refs/heads/main.lock"]) {
    writeFileSync(join(mirror, left), "");
  }
  assert.equal(await build("22"), 2);
  assert.deepEqual(readdirSync(join(mirror, "refs/heads")), ["main"]);
  const packs = join(mirror, "objects/pack");
  for (const file of readdirSync(packs)) {
    chmodSync(join(packs, file), 0o644);
    truncateSync(join(packs, file), 40);
  }
  assert.equal(await build("333"), 3);
});
