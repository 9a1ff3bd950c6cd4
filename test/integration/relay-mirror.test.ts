// Relays bring packs from the origin into their region's store: verified, resumable, each segment once.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { segmentOwner } from "../../core/fleet/mirror-plan.ts";
import { segmentKey } from "../../runtime/release/pack-keys.ts";
import { openPack } from "../../runtime/release/sealed-pack.ts";
import { mountSmallDisk } from "../contracts/small-disk.ts";
import { metric, RelayWorld, type SamplePack, writePack } from "./relay-process.ts";
import type { Command, RelayLine } from "./scripted-control-plane.ts";

const SIZES = { pieces: 40, pieceBytes: 256 * 1024, perSegment: 4 };

const told = ({ pack, segments }: SamplePack): Command => ({
  $case: "pack",
  pack: { pack, segments, sealed: true, dropped: false, spare: false },
});

const siblings = (...lines: RelayLine[]): Command => ({
  $case: "siblings",
  siblings: { relays: lines.map((line) => line.info()) },
});

const isWhole =
  (pack: string) =>
  ({ packs }: { packs: { pack: string; whole: boolean }[] }): boolean =>
    packs.some((one) => one.pack === pack && one.whole);

/** Id of a pack of SIZES of which each relay owns at least three segments; ids are random. */
function sharedEvenly(relays: readonly string[]): string {
  const segments = SIZES.pieces / SIZES.perSegment;
  for (;;) {
    const pack = `b-${randomBytes(8).toString("hex")}.1`;
    const owners = Array.from({ length: segments }, (_, at) => segmentOwner(pack, at, relays));
    const shares = relays.map((relay) => owners.filter((owner) => owner === relay).length);
    if (shares.every((share) => share >= 3)) return pack;
  }
}

describe("a relay that mirrors", { timeout: 240_000 }, () => {
  let world: RelayWorld;
  before(async () => {
    world = await RelayWorld.start();
    world.control.snapshot = (line) => [siblings(line)];
  });
  after(() => world.stop());

  test("copies a pack as it grows, to the last byte, and reports it whole", async () => {
    const pack = await writePack(world.origin, "b-0000000000000001.1", SIZES);
    const relay = await world.relay({ name: "one" });
    const line = await world.control.line(relay.id);
    const grown = { pack: pack.pack, segments: 3, sealed: false, dropped: false, spare: false };
    line.send({ $case: "pack", pack: grown });
    const part = await line.report("3 segments", ({ packs }) => packs[0]?.segments === 3);
    assert.equal(part.packs[0]?.whole, false);
    line.send(told(pack));
    const report = await line.report("the pack whole", isWhole(pack.pack));
    assert.equal(report.packs[0]?.bytes, pack.bytes);
    assert.equal(report.packsWhole, 1);
    const copy = await openPack(await world.store("eu"), pack.pack);
    for (const [index, piece] of pack.pieces.entries()) {
      assert.ok(piece.equals(await copy.piece(index)));
    }
    assert.equal(await relay.end("SIGTERM"), 0);
  });

  test("a pack that is dropped is deleted, and may be mirrored again", async () => {
    const pack = await writePack(world.origin, "b-0000000000000002.1", { ...SIZES, pieces: 8 });
    const relay = await world.relay({ name: "dropping", regionStore: "eu-2" });
    const line = await world.control.line(relay.id);
    line.send(told(pack));
    await line.report("the pack whole", isWhole(pack.pack));
    const gone = { pack: pack.pack, segments: 0, sealed: false, dropped: true, spare: false };
    const dropped: Command = { $case: "pack", pack: gone };
    line.send(dropped);
    await line.report("no pack", ({ packs }) => packs.length === 0);
    line.send(told(pack));
    await line.report("the pack whole again", isWhole(pack.pack));
    line.send(dropped, told(pack), dropped);
    await line.report("no pack once more", ({ packs }) => packs.length === 0);
    await relay.end("SIGTERM");
    const { blobs } = await (await world.store("eu-2")).list("packs/");
    assert.deepEqual(blobs, []);
  });

  test("fault 9: corrupt bytes of the origin are told and never stored", async () => {
    const pack = await writePack(world.origin, "b-0000000000000003.1", { ...SIZES, pieces: 8 });
    const key = segmentKey(pack.pack, 1);
    const parts: Uint8Array[] = [];
    for await (const part of world.origin.get(key)) parts.push(part);
    const bytes = Buffer.concat(parts);
    bytes[300_000] = (bytes[300_000] as number) ^ 1;
    const bad = await world.store("bad-origin");
    for (const name of [segmentKey(pack.pack, 0), `packs/${pack.pack}/seal`]) {
      await bad.put(name, world.origin.get(name));
    }
    await bad.put(key, bytes);
    const relay = await world.relay({ name: "corrupt", origin: "bad-origin", regionStore: "eu-3" });
    const line = await world.control.line(relay.id);
    line.send(told(pack));
    const report = await line.report("an error", ({ packs }) => (packs[0]?.error ?? "") !== "");
    assert.match(report.packs[0]?.error ?? "", /piece 5 does not have its digest/);
    assert.equal(await (await world.store("eu-3")).head(key), undefined);
    await relay.end("SIGKILL");
  });

  test("fault 12: a full disk is told, and mirroring goes on when there is room", async () => {
    const pack = await writePack(world.origin, "b-0000000000000005.1", SIZES);
    const disk = mountSmallDisk(6 * 1024);
    try {
      const relay = await world.relay({ name: "full", regionStore: join(disk.path, "store") });
      const line = await world.control.line(relay.id);
      line.send(told(pack));
      const report = await line.report("an error", ({ packs }) => (packs[0]?.error ?? "") !== "");
      assert.match(report.packs[0]?.error ?? "", /space/);
      assert.ok((report.packs[0]?.segments ?? 0) > 0, "what fits is stored");
      disk.resize(64 * 1024);
      const whole = await line.report("the pack whole", isWhole(pack.pack));
      assert.equal(whole.packs[0]?.error, "");
      await relay.end("SIGTERM");
    } finally {
      disk.remove();
    }
  });

  test("killed in mid-mirror and started again, it goes on with what it has", async () => {
    const pack = await writePack(world.origin, "b-0000000000000004.1", SIZES);
    const failing = { name: "killed", regionStore: "eu-4" };
    const killed = await world.relay({ ...failing, failpoint: "relay.after-segment-stored@5" });
    // Not before it has said that it is ready: it may be killed within a moment.
    const first = await world.control.line(killed.id);
    first.send(siblings(first), told(pack));
    assert.equal(await killed.exited, null);
    const stored = (await (await world.store("eu-4")).list(`packs/${pack.pack}/`)).blobs.length;
    assert.ok(stored >= 5 && stored < pack.segments, `${stored} segments stored`);
    const again = await world.relay(failing);
    assert.equal(again.id, killed.id);
    const line = await world.control.line(again.id, 1 + world.control.lines.all.indexOf(first));
    line.send(siblings(line), told(pack));
    await line.report("the pack whole", isWhole(pack.pack));
    const mirrored = await metric(again, "millrace_relay_mirrored");
    assert.equal(mirrored, pack.bytes - stored * SIZES.perSegment * SIZES.pieceBytes);
    await again.end("SIGKILL");
  });
});

describe("two relays of one region", { timeout: 240_000 }, () => {
  let world: RelayWorld;
  before(async () => {
    world = await RelayWorld.start();
  });
  after(() => world.stop());

  test("share the pulling: each segment is read from the origin once", async () => {
    const [one, two] = await Promise.all([
      world.relay({ name: "one" }),
      world.relay({ name: "two" }),
    ]);
    const lines = [await world.control.line(one.id), await world.control.line(two.id)];
    const pack = await writePack(world.origin, sharedEvenly([one.id, two.id]), SIZES);
    for (const line of lines) line.send(siblings(...lines), told(pack));
    for (const line of lines) await line.report("the pack whole", isWhole(pack.pack));
    const read = [
      await metric(one, "millrace_relay_mirrored"),
      await metric(two, "millrace_relay_mirrored"),
    ];
    assert.equal((read[0] ?? 0) + (read[1] ?? 0), pack.bytes);
    assert.ok(
      read.every((bytes) => bytes > 0),
      `${read} bytes each`,
    );
    await Promise.all([one.end("SIGKILL"), two.end("SIGKILL")]);
  });

  test("what a dead sibling owned is taken over as soon as the leader says it is gone", async () => {
    const failpoint = "relay.after-segment-stored@2";
    const [dying, living] = await Promise.all([
      world.relay({ name: "dying", regionStore: "eu-2", failpoint }),
      world.relay({ name: "living", regionStore: "eu-2" }),
    ]);
    const lines = [await world.control.line(dying.id), await world.control.line(living.id)];
    const pack = await writePack(world.origin, sharedEvenly([dying.id, living.id]), SIZES);
    for (const line of lines) line.send(siblings(...lines), told(pack));
    assert.equal(await dying.exited, null);
    const line = lines[1] as RelayLine;
    line.send(siblings(line));
    await line.report("the pack whole", isWhole(pack.pack));
    await living.end("SIGKILL");
  });

  test("with a store each, what is the other's comes from the other", async () => {
    const [one, two] = await Promise.all([
      world.relay({ name: "apart-1", regionStore: "eu-3a" }),
      world.relay({ name: "apart-2", regionStore: "eu-3b" }),
    ]);
    const lines = [await world.control.line(one.id), await world.control.line(two.id)];
    const pack = await writePack(world.origin, sharedEvenly([one.id, two.id]), SIZES);
    for (const line of lines) line.send(siblings(...lines), told(pack));
    for (const line of lines) await line.report("the pack whole", isWhole(pack.pack));
    const read = [
      await metric(one, "millrace_relay_mirrored"),
      await metric(two, "millrace_relay_mirrored"),
    ];
    assert.equal((read[0] ?? 0) + (read[1] ?? 0), pack.bytes);
    for (const name of ["eu-3a", "eu-3b"]) {
      const copy = await openPack(await world.store(name), pack.pack);
      assert.ok(pack.pieces[7]?.equals(await copy.piece(7)));
    }
    await Promise.all([one.end("SIGTERM"), two.end("SIGTERM")]);
  });
});
