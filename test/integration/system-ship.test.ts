// From a git repository to files and running services on every machine, with real processes, through the
// command line: what arrives is what was built.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Lab } from "../lab/lab.ts";
import { type Repository, recipe } from "../lab/repository.ts";
import { hookSample, httpSample } from "../lab/sample-service.ts";
import { describeTree } from "./tree-digest.ts";

/** Makes what git cannot hold or a test should not: an empty folder, a big file, a changing one. */
const BUILD = `mkdir -p dist/deep/er/est dist/empty/folder dist/bin
cp src.txt dist/deep/er/est/leaf.txt
printf '#!/bin/sh\\necho tool\\n' > dist/bin/tool && chmod 751 dist/bin/tool
chmod 640 dist/deep/er/est/leaf.txt
ln -s ../deep/er/est/leaf.txt dist/bin/link
ln -s deep dist/folder-link
: > dist/nothing
cat "dist/großes Stück.bin" > dist/日本語.bin
echo built`;

const ALL_AT_ONCE = { waves: [{ percent: 100 }], failures: "100%", maxUnavailable: 100 };

const lab = new Lab();
let tree: Repository;

before(async () => {
  tree = lab.repository("tree");
  await lab.start({ regions: 2, agents: 2 });
});
after(() => lab.close());

/** Different for each seed, incompressible, the same each time. */
function noise(bytes: number, seed: number): Uint8Array {
  const words = new Uint32Array(bytes / 4);
  let state = seed;
  for (let at = 0; at < words.length; at += 1) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    words[at] = state ^ (state >>> 15);
  }
  return new Uint8Array(words.buffer);
}

/** What the build gives in a checkout of our own. */
function builtTree(repository: Repository, name: string): string[] {
  const copy = lab.path(name);
  execFileSync("git", ["clone", "-q", repository.path, copy]);
  execFileSync("sh", ["-c", BUILD], { cwd: copy });
  return describeTree(join(copy, "dist"));
}

test("every machine holds exactly what was built, and runs it", async () => {
  const files = httpSample({
    service: "tree",
    version: "one",
    run: BUILD,
    rollout: ALL_AT_ONCE,
    files: { "src.txt": "leaf\n", "dist/großes Stück.bin": noise(5 * 1024 * 1024, 1) },
  });
  const ship = await lab.ship(tree, files);
  assert.equal(ship.ok, true, JSON.stringify(ship));
  assert.equal(ship.build?.state, "succeeded");
  assert.equal(ship.rollout?.state, "succeeded");
  assert.deepEqual(ship.agents, { total: 4, active: 4 });
  const expected = builtTree(tree, "expected-1");
  assert.ok(expected.length > 9, "the tree has all its parts");
  for (const machine of lab.machines()) {
    assert.deepEqual(machine.tree("tree"), expected, machine.name);
    assert.equal(machine.release("tree"), ship.release);
    assert.equal((await machine.ask("tree"))?.version, "one");
  }
});

test("a second ship moves only what changed", async () => {
  const big = new Uint8Array(readFileSync(join(tree.path, "dist/großes Stück.bin")));
  big.set(noise(4_096, 2), 2_000_000);
  const changed = JSON.stringify({ version: "two", healthy: true });
  const ship = await lab.ship(tree, {
    "dist/großes Stück.bin": big,
    "dist/version.json": changed,
  });
  assert.equal(ship.rollout?.state, "succeeded", JSON.stringify(ship));
  const { artifact = 0, packed = 0, local = 0 } = ship.bytes ?? {};
  assert.ok(artifact > 10_000_000, `artifact ${artifact}`);
  // The file is in the tree twice, so its changed chunks are stored once: a few of 64 KiB.
  assert.ok(packed < 1_000_000, `packed ${packed}`);
  assert.ok(local > 4 * 0.9 * artifact, `local ${local}`);
  const expected = builtTree(tree, "expected-2");
  for (const machine of lab.machines()) {
    assert.deepEqual(machine.tree("tree"), expected, machine.name);
    assert.equal((await machine.ask("tree"))?.version, "two");
  }
});

test("a release of before is deployed again by its short SHA, and rollback goes back", async () => {
  const first = tree.git("rev-parse", "HEAD~1").trim();
  const second = tree.git("rev-parse", "HEAD").trim();
  const plan = await lab.system.millrace("deploy", first.slice(0, 10), "--plan", "--json");
  assert.equal(plan.code, 3, plan.stderr);
  const deployed = await lab.system.millrace("deploy", first.slice(0, 10), "--json");
  assert.equal(deployed.code, 0, deployed.stderr);
  assert.equal(JSON.parse(deployed.stdout).sha, first);
  for (const machine of lab.machines()) assert.equal((await machine.ask("tree"))?.version, "one");

  const back = await lab.system.millrace("rollback", "tree", "--json");
  assert.equal(back.code, 0, back.stderr);
  assert.equal(JSON.parse(back.stdout).sha, second);
  for (const machine of lab.machines()) assert.equal((await machine.ask("tree"))?.version, "two");

  const stale = JSON.parse(plan.stdout).revision as number;
  const refused = await lab.system.millrace("deploy", first, "--revision", String(stale));
  assert.equal(refused.code, 6, refused.stderr);
});

test("a hook is run once at each machine", async () => {
  const repository = lab.repository("hooked");
  const ship = await lab.ship(
    repository,
    hookSample({ service: "hooked", version: "1", rollout: ALL_AT_ONCE }),
  );
  assert.equal(ship.rollout?.state, "succeeded", JSON.stringify(ship));
  for (const machine of lab.machines()) {
    assert.deepEqual(machine.starts("hooked"), [ship.release], machine.name);
  }
});

test("a single file, from a URL's branch, with a recipe of its own", async () => {
  const repository = lab.repository("single");
  repository.commit({ "tool.sh": { executable: "#!/bin/sh\necho main\n" } });
  repository.git("checkout", "-q", "-b", "next");
  const sha = repository.commit({ "tool.sh": { executable: "#!/bin/sh\necho next\n" } });
  repository.git("checkout", "-q", "main");
  const file = lab.path("single.yaml");
  const how = { activate: { hook: ["./tool.sh"] }, rollout: ALL_AT_ONCE };
  writeFileSync(file, recipe({ ...how, service: "single", run: ":", output: "tool.sh" }));
  const url = `file://${repository.path}`;
  const ship = await lab.system.ship(url, "--ref", "next", "--recipe", file);
  assert.equal(ship.rollout?.state, "succeeded", JSON.stringify(ship));
  assert.equal(ship.sha, sha);
  for (const machine of lab.machines()) {
    const text = readFileSync(join(machine.path, "single", "current", "tool.sh"), "utf8");
    assert.equal(text, "#!/bin/sh\necho next\n");
    assert.equal(machine.tree("single").length, 1);
  }
});

test("every read has JSON to give", async () => {
  const sha = tree.git("rev-parse", "HEAD").trim();
  const { builds } = await lab.system.read<{ builds: { id: string }[] }>("builds");
  const { rollouts } = await lab.system.read<{ rollouts: { id: string }[] }>("rollouts");
  const { releases } = await lab.system.read<{ releases: { sha: string }[] }>("releases");
  const { agents } = await lab.system.read<{ agents: { id: string }[] }>("agents");
  const { regions } = await lab.system.read<{ regions: { agents: number }[] }>("regions");
  assert.equal(builds.length, 4);
  assert.equal(rollouts.length, 6);
  assert.equal(releases.length, 4);
  assert.equal(agents.length, 4);
  assert.deepEqual(
    regions.map((region) => region.agents),
    [2, 2],
  );
  const reads: [string[], string][] = [
    [["status"], "epoch"],
    [["builds", builds[0]?.id ?? ""], "build"],
    [["builds", sha.slice(0, 8)], "build"],
    [["rollouts", rollouts[0]?.id ?? ""], "rollout"],
    [["rollouts", sha], "rollout"],
    [["releases", sha.slice(0, 8)], "release"],
    [["agents", agents[0]?.id ?? ""], "agent"],
    [["builds", "--service", "tree", "--limit", "1"], "more"],
  ];
  for (const [args, field] of reads) {
    const [answer, text] = await Promise.all([
      lab.system.read<Record<string, unknown>>(...args),
      lab.system.millrace(...args),
    ]);
    assert.notEqual(answer[field], undefined, args.join(" "));
    assert.equal(text.code, 0, text.stderr);
    assert.ok(text.stdout.length > 20, args.join(" "));
  }
  const log = await lab.system.millrace("logs", sha);
  assert.match(log.stdout, /^built$/m);
});
