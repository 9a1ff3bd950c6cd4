// What a power loss takes from a disk that was not flushed yet (fault 13): the mark of an unflushed
// release is made to name another boot, and bytes are changed as lost pages would be.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { existsSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { until } from "../lab/until.ts";
import { AgentWorld, SERVICE, server, type TreeNode } from "./agent-world.ts";

const service = SERVICE;
const big = randomBytes(3 * 1024 * 1024);
const site = server("site");

const CASES: readonly {
  readonly name: string;
  readonly tree: Record<string, TreeNode>;
  readonly activation?: typeof site.activation;
  readonly lose: (release: string, big: string) => void;
}[] = [
  {
    name: "a file of a tree lost its last pages",
    tree: { ...site.tree, big: { file: big } },
    activation: site.activation,
    lose: (_, path) => truncateSync(path, 1_000_000),
  },
  {
    name: "pages of a file of a tree are zeros",
    tree: { ...site.tree, big: { file: big } },
    activation: site.activation,
    lose: (_, path) => writeFileSync(path, Buffer.from(big).fill(0, 8_192, 12_288)),
  },
  {
    name: "a release that is one file, shared with the pieces, lost pages",
    tree: { big: { file: big } },
    lose: (_, path) => truncateSync(path, 2_000_000),
  },
  {
    name: "the manifest is torn",
    tree: { ...site.tree, big: { file: big } },
    activation: site.activation,
    lose: (release) => truncateSync(join(release, "manifest"), 10),
  },
];

for (const { name, tree, activation, lose } of CASES) {
  test(`fault 13: after a power loss: ${name}`, async (t) => {
    const world = await AgentWorld.start();
    t.after(() => world.stop());
    const record = await world.release(tree, activation);
    world.relay.assign({ service, rollout: "r-1", phase: "FINAL", release: record });
    const agent = await world.agent({ flags: ["--stop-services"] });
    await world.relay.phase("ACTIVE", record.release);
    await agent.end("SIGTERM");

    const meta = join(world.root, service, "meta", record.release);
    const installed = join(world.root, service, "releases", record.release, "big");
    assert.ok(existsSync(join(meta, "unflushed.json")), "it is not flushed so soon");
    writeFileSync(join(meta, "unflushed.json"), JSON.stringify({ bootId: "an earlier one" }));
    lose(meta, installed);

    const from = world.relay.heard.length;
    await world.agent();
    await world.relay.phase("ACTIVE", record.release, from);
    assert.deepEqual(readFileSync(join(world.root, service, "current", "big")), big);
    if (activation === undefined) return;
    await until("the service answers", async () => (await world.answer()) === record.release);
  });
}

test("fault 13: after a power loss that took nothing, nothing is fetched again", async (t) => {
  const world = await AgentWorld.start();
  t.after(() => world.stop());
  const record = await world.release({ ...site.tree, big: { file: big } }, site.activation);
  world.relay.assign({ service, rollout: "r-1", phase: "FINAL", release: record });
  const agent = await world.agent({ flags: ["--stop-services"] });
  const before = await world.relay.phase("ACTIVE", record.release);
  await agent.end("SIGTERM");
  const mark = join(world.root, service, "meta", record.release, "unflushed.json");
  writeFileSync(mark, JSON.stringify({ bootId: "an earlier one" }));

  const from = world.relay.heard.length;
  await world.agent();
  const active = await world.relay.phase("ACTIVE", record.release, from);
  await until("the service answers", async () => (await world.answer()) === record.release);
  assert.equal(active.bytes?.peer, 0);
  assert.ok((active.bytes?.relay ?? 0) === (before.bytes?.relay ?? -1), "not a byte more");
});
