// The agent's disk: full, and free again; killed in mid-fetch; pieces fetched ahead, kept and dropped.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { Release } from "../../proto/gen/millrace/v1/release_format.ts";
import { mountSmallDisk } from "../contracts/small-disk.ts";
import { until } from "../lab/until.ts";
import { AgentWorld, SERVICE, server } from "./agent-world.ts";

const service = SERVICE;
const MIB = 1024 * 1024;

const packOf = (release: Release): string => release.layout?.packs.at(-1)?.pack ?? "";

test("fault 12: a full disk: the old release runs on, and what was fetched counts when there is room", async (t) => {
  const world = await AgentWorld.start();
  const disk = mountSmallDisk(26 * 1024, 2000);
  const root = join(disk.path, "agent");
  t.after(async () => {
    await world.stop();
    disk.remove();
  });
  const first = server("first");
  const one = await world.release(first.tree, first.activation);
  const big = { big: { file: randomBytes(16 * MIB) } };
  const two = await world.release({ ...first.tree, ...big }, first.activation);
  world.relay.assign({ service, rollout: "r-1", phase: "FINAL", release: one });
  await world.agent({ root });
  await world.relay.phase("ACTIVE", one.release);
  world.relay.assign({ service, rollout: "r-2", phase: "FINAL", release: two });
  const full = await world.relay.status("full", ({ error }) => /ENOSPC|no space/i.test(error));
  assert.equal(full.running, one.release);
  assert.equal(await world.answer(root), one.release);
  await until(
    "no half of a tree is left",
    () => readdirSync(join(root, ".staging", service)).length === 0,
  );
  disk.resize(64 * 1024);
  const active = await world.relay.phase("ACTIVE", two.release);
  assert.equal(await world.answer(root), two.release);
  const relayBytes = active.bytes?.relay ?? 0;
  assert.ok(relayBytes < 17.5 * MIB, `fetched once, got ${relayBytes} bytes`);
});

test("fault 12: no room for the pieces either: fetching goes on where it stopped", async (t) => {
  const world = await AgentWorld.start();
  const disk = mountSmallDisk(10 * 1024, 2000);
  const root = join(disk.path, "agent");
  t.after(async () => {
    await world.stop();
    disk.remove();
  });
  const release = await world.release({ big: { file: randomBytes(16 * MIB) } }, undefined);
  world.relay.assign({ service, rollout: "r-1", phase: "FINAL", release });
  await world.agent({ root });
  await world.relay.status("full", ({ error }) => /ENOSPC|no space/i.test(error));
  disk.resize(64 * 1024);
  const active = await world.relay.phase("ACTIVE", release.release);
  const relayBytes = active.bytes?.relay ?? 0;
  assert.ok(relayBytes < 17.5 * MIB, `fetched once, got ${relayBytes} bytes`);
});

test("fault 13: killed in mid-fetch: pieces that came are not fetched again, but for one that was torn", async (t) => {
  const world = await AgentWorld.start();
  t.after(() => world.stop());
  const release = await world.release({ big: { file: randomBytes(8 * MIB) } }, undefined);
  world.relay.assign({ service, rollout: "r-1", phase: "FINAL", release });
  const dying = await world.agent({ failpoint: "agent.mid-stage" });
  assert.equal(await dying.exited, "SIGKILL");
  const pieces = join(world.root, ".packs", packOf(release), "pieces");
  const bytes = readFileSync(pieces);
  bytes.fill(0, 100_000, 100_100);
  writeFileSync(pieces, bytes);
  const from = world.relay.heard.length;
  await world.agent();
  const active = await world.relay.phase("ACTIVE", release.release, from);
  assert.deepEqual(
    readFileSync(join(world.root, service, "current", "big")),
    readFileSync(join(world.folder, "output-1", "big")),
  );
  const relayBytes = active.bytes?.relay ?? 0;
  assert.ok(relayBytes > 0, "the torn piece came again");
  assert.ok(relayBytes < 5 * MIB, `only what was missing, got ${relayBytes} bytes`);
});

test("an order: pieces are fetched, nothing is staged; dropped or kept as the build ends", async (t) => {
  const world = await AgentWorld.start();
  t.after(() => world.stop());
  const release = await world.release({ big: { file: randomBytes(4 * MIB) } }, undefined);
  const pack = packOf(release);
  const pieces = release.layout?.packs.at(-1)?.pieces ?? 0;
  await world.agent();
  await until("connected", () => world.relay.isConnected);
  const folder = join(world.root, ".packs", pack);
  const fetchedAll = (): boolean =>
    existsSync(join(folder, "journal")) && statSync(join(folder, "journal")).size === 4 * pieces;
  const order = { id: "o-1", epoch: 1, build: "b", attempt: 1, pack, service, targets: {} };
  const rest = { excludedRegions: [], traceparent: "", urgent: false };
  world.relay.send({ $case: "order", order: { ...order, ...rest } });
  await until("fetched under the order", fetchedAll);
  assert.ok(!existsSync(join(world.root, service)));
  world.relay.send({ $case: "orderEnded", orderEnded: { id: "o-1", pack, keep: false } });
  await until("dropped", () => !existsSync(folder));
  world.relay.send({ $case: "order", order: { ...order, ...rest, id: "o-2" } });
  await until("fetched again", fetchedAll);
  world.relay.send({ $case: "orderEnded", orderEnded: { id: "o-2", pack, keep: true } });
  world.relay.assign({ service, rollout: "r-1", phase: "FINAL", release });
  const active = await world.relay.phase("ACTIVE", release.release);
  assert.ok((active.bytes?.relay ?? 0) >= 4 * MIB, "what came ahead counts for the release");
});

test("fault 28: old releases and pieces over the budget are deleted, the last good one is not", async (t) => {
  const world = await AgentWorld.start();
  t.after(() => world.stop());
  await world.agent({ flags: ["--keep", "2", "--piece-cache", "0"] });
  const releases: Release[] = [];
  for (let i = 0; i < 4; i += 1) {
    const release = await world.release({ name: { file: `release ${i}` } }, undefined);
    releases.push(release);
    world.relay.assign({ service, rollout: `r-${i}`, phase: "FINAL", release });
    await world.relay.phase("ACTIVE", release.release);
  }
  const kept = releases.slice(2).map(({ release }) => release);
  const onDisk = (): string[] => readdirSync(join(world.root, service, "releases"));
  assert.deepEqual(onDisk().sort(), kept.sort());
  assert.deepEqual(readdirSync(join(world.root, service, "meta")).sort(), kept);
  await until("packs are dropped", () => readdirSync(join(world.root, ".packs")).length === 0);
});

test("fault 12: within a disk budget old releases go, then pieces; what is needed stays, and it is said", async (t) => {
  const world = await AgentWorld.start();
  t.after(() => world.stop());
  await world.agent({ flags: ["--keep", "9", "--disk-budget", String(14 * MIB)] });
  const onDisk = (): string[] => readdirSync(join(world.root, service, "releases")).sort();
  const releases: Release[] = [];
  const bring = async (bytes: number): Promise<void> => {
    const tree = { one: { file: randomBytes(bytes) }, two: { file: randomBytes(1_000) } };
    const release = await world.release(tree, undefined);
    releases.push(release);
    const rollout = `r-${releases.length}`;
    world.relay.assign({ service, rollout, phase: "FINAL", release });
    await world.relay.phase("ACTIVE", release.release);
  };
  // 2 MiB each: three releases of 6 MiB, and their pieces, which hold longer than this test.
  for (let i = 0; i < 3; i += 1) await bring(2 * MIB);
  assert.equal(onDisk().length, 3, "all fit");
  await bring(5 * MIB);
  const [oldest, , lastGood, active] = releases.map(({ release }) => release) as string[];
  // While the last one was coming, the second was what the machine would have gone back to.
  await until("the oldest to go", () => !onDisk().includes(oldest as string));
  assert.ok(onDisk().includes(lastGood as string) && onDisk().includes(active as string));
  const pieces = (): number =>
    readdirSync(join(world.root, ".packs")).filter(
      (pack) => pack !== packOf(releases[3] as Release),
    ).length;
  await until("pieces of old releases to go", () => pieces() === 0);
  const from = world.relay.heard.length;
  await bring(14 * MIB);
  const said = await world.relay.status("over", ({ error }) => /disk budget/.test(error), from);
  assert.match(said.error, /more than the disk budget of 15 MB: raise --disk-budget/);
  const needed = [active, releases.at(-1)?.release].sort().join();
  await until("all else to go", () => onDisk().join() === needed);
});

test("a second agent on the same root is refused", async (t) => {
  const world = await AgentWorld.start();
  t.after(() => world.stop());
  await world.agent();
  await assert.rejects(world.agent());
});
