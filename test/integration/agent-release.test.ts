// A real agent brings real releases to disk and runs them.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import {
  existsSync,
  readdirSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { AgentWorld, SERVICE, server, type TreeNode } from "./agent-world.ts";
import { describeTree } from "./tree-digest.ts";

const service = SERVICE;

function richTree(big: Uint8Array): Record<string, TreeNode> {
  return {
    "bin/run": { file: "#!/bin/sh\n", mode: 0o755 },
    "data/big": { file: big },
    "data/empty": { file: "" },
    "data/private": { file: "secret", mode: 0o600 },
    "data/writable": { file: "all", mode: 0o666 },
    "empty/inner": { folder: true, mode: 0o700 },
    "link/to-big": { link: "../data/big" },
    "ünï/cödé.txt": { file: "text" },
  };
}

test("a release is fetched, staged, and activated with a permit; the next moves what changed", async (t) => {
  const world = await AgentWorld.start();
  t.after(() => world.stop());
  const big = randomBytes(5 * 1024 * 1024);
  const first = server("first");
  const second = server("second");
  const one = await world.release({ ...first.tree, ...richTree(big) }, first.activation);
  big.fill(7, 1_000_000, 1_000_100);
  const two = await world.release({ ...second.tree, ...richTree(big) }, second.activation, one);
  world.relay.assign({ service, rollout: "r-1", phase: "OPEN", release: one });
  await world.agent();

  const staged = await world.relay.phase("STAGED", one.release);
  assert.equal(staged.running, "");
  assert.ok((staged.bytes?.relay ?? 0) > 5_000_000, "everything came from the relay");
  assert.ok(
    !existsSync(join(world.root, service, "current")),
    "nothing is active without a permit",
  );
  world.relay.permit(service, "r-1", one.release);
  const active = await world.relay.phase("ACTIVE", one.release);
  assert.equal(active.running, one.release);
  assert.equal(active.permit, "permit-1");
  assert.equal(await world.answer(), one.release);
  assert.deepEqual(
    describeTree(join(world.root, service, "current/")),
    describeTree(join(world.folder, "output-1")),
  );

  const from = world.relay.heard.length;
  world.relay.assign({ service, rollout: "r-2", phase: "OPEN", release: two, fallback: one });
  const next = await world.relay.phase("STAGED", two.release, from);
  assert.ok((next.bytes?.local ?? 0) > 4_500_000, "unchanged chunks were found here");
  assert.ok((next.bytes?.relay ?? 0) < 600_000, "only what changed was fetched");
  assert.equal(
    await world.answer(),
    one.release,
    "the old release runs while the new one is staged",
  );
  world.relay.permit(service, "r-2", two.release);
  const done = await world.relay.phase("ACTIVE", two.release, from);
  assert.equal(await world.answer(), two.release);
  assert.equal(world.current(), two.release);
  assert.deepEqual(
    describeTree(join(world.root, service, "current/")),
    describeTree(join(world.folder, "output-3")),
  );
  assert.throws(() => process.kill(active.pid, 0), "the old process has ended");
  assert.equal(done.lastGood, one.release);
  assert.deepEqual(readdirSync(join(world.root, ".staging", service)), [], "no work is left over");
});

test("an agent that was offline catches up when the rollout is over, with no permit", async (t) => {
  const world = await AgentWorld.start();
  t.after(() => world.stop());
  const only = server("only");
  const release = await world.release(only.tree, only.activation);
  world.relay.assign({ service, rollout: "r-1", phase: "FINAL", release });
  await world.agent();
  await world.relay.phase("ACTIVE", release.release);
  assert.equal(await world.answer(), release.release);
});

test("a release of a single file", async (t) => {
  const world = await AgentWorld.start();
  t.after(() => world.stop());
  writeFileSync(join(world.folder, "tool.bin"), randomBytes(3_000_000), { mode: 0o755 });
  const release = await world.packed(join(world.folder, "tool.bin"));
  assert.equal(release.singleFile, true);
  world.relay.assign({ service, rollout: "r-1", phase: "FINAL", release });
  await world.agent();
  await world.relay.phase("ACTIVE", release.release);
  const path = join(world.root, service, "current", "tool.bin");
  assert.deepEqual(readFileSync(path), readFileSync(join(world.folder, "tool.bin")));
  assert.equal(statSync(path).mode & 0o777, 0o755);
});

test("fault 14: an installed chunk that has rotted is fetched again", async (t) => {
  const world = await AgentWorld.start();
  t.after(() => world.stop());
  const big = randomBytes(4 * 1024 * 1024);
  const one = await world.release({ big: { file: big } }, undefined);
  const two = await world.release({ big: { file: big }, more: { file: "more" } }, undefined, one);
  world.relay.assign({ service, rollout: "r-1", phase: "FINAL", release: one });
  await world.agent({ flags: ["--piece-cache", "0"] });
  await world.relay.phase("ACTIVE", one.release);
  const installed = join(world.root, service, "releases", one.release, "big");
  writeFileSync(installed, Buffer.concat([big.subarray(0, 2_000_000), randomBytes(100)]));
  truncateSync(installed, 3_000_000);
  world.relay.assign({ service, rollout: "r-2", phase: "FINAL", release: two });
  const active = await world.relay.phase("ACTIVE", two.release);
  assert.ok((active.bytes?.local ?? 0) > 1_500_000, "what is right is used");
  assert.ok((active.bytes?.local ?? 0) < 2_100_000, "what is wrong is not");
  assert.deepEqual(readFileSync(join(world.root, service, "current", "big")), big);
});

test("a release whose layout does not fit its manifest is reported, and never activated", async (t) => {
  const world = await AgentWorld.start();
  t.after(() => world.stop());
  const good = server("good");
  const release = await world.release(good.tree, good.activation);
  const other = await world.release({ ...good.tree, name: { file: "other" } }, good.activation);
  world.relay.assign({ service, rollout: "r-1", phase: "FINAL", release });
  await world.agent();
  await world.relay.phase("ACTIVE", release.release);
  const layout = other.layout as NonNullable<typeof other.layout>;
  const lying = { ...other, layout: { ...layout, table: layout.manifest } };
  world.relay.assign({ service, rollout: "r-2", phase: "OPEN", release: lying });
  const failed = await world.relay.phase("FAILED", other.release);
  assert.match(failed.error, /is wrong/);
  assert.equal(await world.answer(), release.release);
});

test("threat 27: a hook gets its arguments as they are, and of the agent's environment what it may see", async (t) => {
  const world = await AgentWorld.start();
  t.after(() => world.stop());
  const canary = join(world.folder, "canary");
  const said = join(world.folder, "said.json");
  const touch = `touch ${canary}`;
  const words = ["-", "--", "--eval=1", `$(${touch})`, `\`${touch}\``, `;${touch};`, "&&", touch];
  const part = fc.constantFrom(
    ...words,
    `|${touch}`,
    "'",
    '"',
    "\\",
    "\n",
    "*",
    "~",
    " ",
    "%s",
    "é",
  );
  const argument = fc.array(part, { maxLength: 4 }).map((parts) => parts.join(""));
  const given = fc.sample(argument, { seed: 27, numRuns: 100 });
  const script = `require("node:fs").writeFileSync(${JSON.stringify(said)},
    JSON.stringify({ argv: process.argv.slice(2), env: process.env }))`;
  const release = await world.release(
    { "hook.js": { file: script } },
    {
      exec: [],
      hook: ["node", "hook.js", ...given],
      health: { http: "", command: ["node", "hook.js", ...given], withinMs: 30_000 },
      port: 0,
      drainMs: 0,
    },
  );
  world.relay.assign({ service, rollout: "r-1", phase: "FINAL", release });
  await world.agent({
    env: { CANARY: "secret", AWS_SECRET_ACCESS_KEY: "secret", NODE_PATH: "/x" },
  });
  await world.relay.phase("ACTIVE", release.release);
  const { argv, env } = JSON.parse(readFileSync(said, "utf8"));
  assert.deepEqual(argv, given);
  assert.ok(!existsSync(canary), "an argument was run");
  const own = ["AGENT", "REGION", "RELEASE", "SERVICE", "SHA"].map((name) => `MILLRACE_${name}`);
  const passed = ["HOME", "LANG", "PATH"].filter((name) => process.env[name] !== undefined);
  assert.deepEqual(Object.keys(env).sort(), [...own, ...passed].sort());
});
