// Pieces that rot at a peer while it gives them out: who gets them notices, the peer hears of it and gives
// them to nobody any more, and both get them from elsewhere. What the stores do by themselves is told in
// `piece-store.test.ts` and `segment-piece-store.test.ts`.
import assert from "node:assert/strict";
import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { SCRUB_REST_MS } from "../../core/swarm/limits.ts";
import { until } from "../lab/until.ts";
import { type FleetPeer, PeerFleet } from "./peer-fleet.ts";
import { TcpWay } from "./peer-way.ts";
import { samplePieces } from "./sample-pieces.ts";

const BYTES = 300_000;
const sample = samplePieces(Array(16).fill(BYTES));
const ROTTEN = [3, 8, 12];
const good = [...sample.pieces.keys()].filter((piece) => !ROTTEN.includes(piece));

/** Bytes that a disk gives instead of those that were written: others, or those of the next piece. */
const ROTS: Record<string, (piece: number) => Buffer> = {
  "a bit turned around": (piece) => {
    const content = Buffer.from(sample.pieces[piece] as Buffer);
    content[1_000] = (content[1_000] as number) ^ 1;
    return content;
  },
  "another piece is there": (piece) => sample.pieces[piece + 1] as Buffer,
};

test("fault 14: a piece that rotted is found before anybody asks for it, and fetched again", {
  timeout: 60_000,
}, async () => {
  const directory = mkdtempSync(join(tmpdir(), "millrace-rotten-"));
  const fleet = new PeerFleet(sample, new TcpWay());
  let later = 0;
  try {
    const now = () => performance.now() + later;
    const holder = await fleet.start("agent-1", { seeds: true, directory, now });
    const file = openSync(join(directory, "agent-1", "pieces"), "r+");
    const byte = (sample.pieces[0] as Buffer)[1_000] as number;
    writeSync(file, Buffer.from([byte ^ 1]), 0, 1, 1_000);
    closeSync(file);
    later = SCRUB_REST_MS;
    await until("the holder has found it", () => !holder.store.has(0));
    const relay = await fleet.start("relay-0", { role: "relay", seeds: true });
    introduce(holder, relay);
    await fleet.whole(holder);
    assert.equal(holder.swarm.bytes.fromRelay, BYTES);
  } finally {
    await fleet.close();
    rmSync(directory, { recursive: true });
  }
});

function introduce(peer: FleetPeer, other: FleetPeer): void {
  peer.swarm.introduce([other.introduction]);
}

for (const [name, rot] of Object.entries(ROTS)) {
  test(`faults 14 and 15: ${name} at a peer: who gets it takes the rest there and the rotten pieces elsewhere`, {
    timeout: 60_000,
  }, async () => {
    const directory = mkdtempSync(join(tmpdir(), "millrace-rotten-"));
    const fleet = new PeerFleet(sample, new TcpWay());
    try {
      const holder = await fleet.start("agent-1", { seeds: true, directory });
      const file = openSync(join(directory, "agent-1", "pieces"), "r+");
      for (const piece of ROTTEN) writeSync(file, rot(piece), 0, BYTES, piece * BYTES);
      closeSync(file);

      const newcomer = await fleet.start("agent-2");
      introduce(newcomer, holder);
      await newcomer.swarm.whenHas(good);
      for (const piece of ROTTEN) assert.equal(newcomer.store.has(piece), false);
      await until("the holder has forgotten what it was asked for", () =>
        ROTTEN.every((piece) => !holder.store.has(piece)),
      );
      const { fromPeers } = newcomer.swarm.bytes;

      const relay = await fleet.start("relay-0", { role: "relay", seeds: true });
      introduce(newcomer, relay);
      await fleet.whole(newcomer);
      assert(fromPeers >= good.length * BYTES, `${fromPeers} bytes came from the holder`);
      assert(newcomer.swarm.bytes.fromRelay >= ROTTEN.length * BYTES);
      // Who had rotten pieces is not banned, and gets them like everyone.
      introduce(holder, newcomer);
      await fleet.whole(holder);
      assert.equal(holder.swarm.bytes.fromPeers, ROTTEN.length * BYTES);
    } finally {
      await fleet.close();
      rmSync(directory, { recursive: true });
    }
  });
}
