// A wire that turns bits around between a real agent and the only peer that has its pieces.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { digestOf } from "../../runtime/release/piece-codec.ts";
import { BadWire } from "../contracts/bad-wire.ts";
import { AgentWorld, SERVICE } from "./agent-world.ts";

const service = SERVICE;
const MIB = 1024 * 1024;

test("fault 9: a byte that turned around on the wire is neither kept nor installed", async (t) => {
  const world = await AgentWorld.start();
  const wire = await BadWire.listen(world.relay.swarmAddress, 3 * MIB);
  t.after(async () => {
    await world.stop();
    await wire.close();
  });
  world.relay.swarmAddress = wire.address;
  const big = randomBytes(8 * MIB);
  const release = await world.release({ big: { file: big }, small: { file: "s" } }, undefined);
  world.relay.assign({ service, rollout: "r-1", phase: "FINAL", release });
  await world.agent();
  const active = await world.relay.phase("ACTIVE", release.release);
  assert.ok(wire.hasFlipped, "no byte was turned around");
  assert.ok((active.bytes?.relay ?? 0) > 8 * MIB, "the piece came twice");
  assert.deepEqual(readFileSync(join(world.root, service, "current", "big")), big);

  const name = release.layout?.packs.at(-1)?.pack ?? "";
  const { table } = await world.pack(name);
  const kept = readFileSync(join(world.root, ".packs", name, "pieces"));
  let at = 0;
  for (let piece = 0; piece < table.count && at < kept.length; piece += 1) {
    const { digest, encodedBytes } = table.row(piece);
    const bytes = kept.subarray(at, at + encodedBytes);
    assert.deepEqual(Buffer.from(digestOf(bytes)), Buffer.from(digest), `piece ${piece}`);
    at += encodedBytes;
  }
  assert.ok(at > 8 * MIB, `${at} bytes were looked at`);
});
