// What the swarm must do whatever the way between peers, with real disks: wire corruption, a killed peer,
// a stalled reader, a full disk, a table that grows, and connections of strangers.
import assert from "node:assert/strict";
import { once } from "node:events";
import type { Socket } from "node:net";
import { test } from "node:test";
import { encodeFrame } from "../../core/swarm/encode-frame.ts";
import type { Frame } from "../../core/swarm/frame.ts";
import { monotonicNow } from "../../runtime/driver.ts";
import { until } from "../lab/until.ts";
import {
  type FleetPeer,
  introduceAll,
  PACK,
  type PeerFleet,
  withFleet as withFleetOf,
} from "./peer-fleet.ts";
import type { PeerWay } from "./peer-way.ts";
import { put } from "./piece-store-contract.ts";
import { samplePieces } from "./sample-pieces.ts";
import { mountSmallDisk } from "./small-disk.ts";

const sample = samplePieces(Array.from({ length: 24 }, (_, piece) => 400_000 + piece * 10_000));
const total = sample.pieces.reduce((sum, piece) => sum + piece.length, 0);

/** The text of everything that came until the other side closed. */
async function untilClosed(socket: Socket): Promise<string> {
  const chunks: Buffer[] = [];
  socket.on("data", (bytes: Buffer) => chunks.push(bytes));
  await once(socket, "close");
  return Buffer.concat(chunks).toString("latin1");
}

/** What `raw` says first. */
function helloOf({ way }: PeerFleet) {
  return { kind: "hello", swarm: PACK, peer: way.id("raw"), role: "agent" } as const;
}

/** Peers beside the relay, by number. */
function crowd({ way }: PeerFleet): number[] {
  return Array.from({ length: way.crowd }, (_, at) => at + 1);
}

/** A connection that speaks frames by hand, as `raw`. */
async function rawPeer(
  { way }: PeerFleet,
  { introduction }: FleetPeer,
  ...frames: (Frame | Uint8Array)[]
): Promise<Socket> {
  const socket = await way.socket(introduction, "raw");
  socket.on("error", () => {});
  for (const one of frames) socket.write(one instanceof Uint8Array ? one : encodeFrame(one));
  return socket;
}

/** Registers the tests; `make` gives a fresh way. */
export function peerContract(name: string, make: () => PeerWay): void {
  const withFleet = (run: (fleet: PeerFleet) => Promise<void>, of = sample): Promise<void> =>
    withFleetOf(of, make(), run);

  test(`${name}: a seed and a crowd: each gets all, much of it from each other`, () =>
    withFleet(async (fleet) => {
      const relay = await fleet.start("relay-0", { role: "relay", seeds: true });
      const agents = await Promise.all(crowd(fleet).map((n) => fleet.start(`agent-${n}`)));
      introduceAll([relay, ...agents]);
      await Promise.all(agents.map((agent) => fleet.whole(agent)));
      const sum = (of: "fromRelay" | "fromPeers") =>
        agents.reduce((bytes, agent) => bytes + agent.swarm.bytes[of], 0);
      const share = sum("fromPeers") / (sum("fromPeers") + sum("fromRelay"));
      assert(share > fleet.way.ownShareMin, `${share} of all came from each other`);
      assert.deepEqual(agents[0]?.swarm.progress().bytesHave, total);
    }));

  test(`fault 9: ${name}: corruption on the wire, a killed peer and a stalled reader harm nobody else`, () =>
    withFleet(async (fleet) => {
      const relay = await fleet.start("relay-0", { role: "relay", seeds: true });
      const agents = await Promise.all(crowd(fleet).map((n) => fleet.start(`agent-${n}`)));
      const [victim, ...others] = agents as [FleetPeer, ...FleetPeer[]];
      const [unlucky] = others as [FleetPeer];
      const request = (block: number) =>
        ({ kind: "request", piece: block, offset: 0, bytes: 262_144 }) as const;
      const requests = [0, 1, 2, 3, 4, 5, 6, 7].map(request);
      const stalled = await rawPeer(fleet, relay, helloOf(fleet), ...requests);
      stalled.pause();
      const flipped = await Promise.all(
        agents.filter((one) => one !== unlucky).map((one) => fleet.flip(one, 500_000)),
      );
      const killed = new Promise<void>((resolve, reject) => {
        const stop = victim.swarm.onPiece(() => {
          stop();
          victim.node.close().then(resolve, reject);
        });
      });
      introduceAll([relay, ...agents.filter((one) => one !== unlucky)]);
      unlucky.swarm.introduce([await fleet.flip(relay, 1_000_000), ...flipped]);
      await Promise.all([killed, ...others.map((agent) => fleet.whole(agent))]);
      assert(fleet.way.flips > 0, "no byte was flipped");
      stalled.destroy();
    }));

  test(`${name}: whoever is killed has its finished pieces when it comes back`, () =>
    withFleet(async (fleet) => {
      const relay = await fleet.start("relay-0", { role: "relay", seeds: true });
      const first = await fleet.start("agent-1");
      const some = new Promise<void>((resolve) => {
        let count = 0;
        first.swarm.onPiece(() => {
          count += 1;
          if (count === 5) resolve();
        });
      });
      introduceAll([relay, first]);
      await some;
      await first.node.close();
      await first.store.close();
      const again = await fleet.start("agent-1");
      const had = again.swarm.progress().bytesHave;
      assert(had >= 5 * 400_000, `${had} bytes`);
      introduceAll([relay, again]);
      await fleet.whole(again);
      assert.equal(again.swarm.bytes.fromRelay, total - had);
    }));

  test(`${name}: cut-through: pieces pass on as the table grows and the relay gets them`, () =>
    withFleet(async (fleet) => {
      const relay = await fleet.start("relay-0", { role: "relay" });
      const agents = await Promise.all([1, 2].map((n) => fleet.start(`agent-${n}`)));
      introduceAll([relay, ...agents]);
      for (const [piece, content] of sample.pieces.entries()) {
        await put(relay.store, piece, content);
        relay.swarm.stored(piece);
        await Promise.all(agents.map((agent) => agent.swarm.whenHas([piece])));
      }
      const more = samplePieces([500_000], 2);
      for (const peer of [...agents, relay]) peer.swarm.extend(more.rows);
      await put(relay.store, sample.pieces.length, more.pieces[0] as Buffer);
      relay.swarm.stored(sample.pieces.length);
      await Promise.all(agents.map((agent) => agent.swarm.whenHas([sample.pieces.length])));
    }));

  test(`fault 12: ${name}: a full disk pauses fetching and says so; with room it goes on where it was`, async () => {
    const disk = mountSmallDisk(3 * 1024);
    try {
      await withFleet(async (fleet) => {
        const relay = await fleet.start("relay-0", { role: "relay", seeds: true });
        const agent = await fleet.start("agent-1", { directory: disk.path });
        const failed = new Promise<string>((resolve) => {
          agent.swarm.onFailed((failure) => resolve(failure.kind));
        });
        introduceAll([relay, agent]);
        assert.equal(await failed, "store-full");
        assert.equal(agent.swarm.failure?.kind, "store-full");
        const had = agent.swarm.progress().bytesHave;
        assert(had > 0 && had < 3_200_000, `${had} bytes`);
        disk.resize(30 * 1024);
        agent.swarm.resume();
        await fleet.whole(agent);
        assert.equal(agent.swarm.failure, undefined);
      });
    } finally {
      disk.remove();
    }
  });

  test(`threat 19: ${name}: strangers: an unknown swarm and our own id are told why, nonsense is cut off`, () =>
    withFleet(async (fleet) => {
      const peer = await fleet.start("agent-1", { seeds: true });
      const hello = helloOf(fleet);
      const unknown = await rawPeer(fleet, peer, { ...hello, swarm: "b-none.1" });
      assert.match(await untilClosed(unknown), /unknown swarm/);
      const self = await rawPeer(fleet, peer, { ...hello, peer: peer.introduction.peerId });
      assert.match(await untilClosed(self), /it is yourself|you are not who called/);
      const early = { kind: "request", piece: 0, offset: 0, bytes: 1 } as const;
      for (const nonsense of [
        Buffer.alloc(64, 0xff),
        encodeFrame(early),
        Buffer.from("GET / HTTP"),
      ]) {
        await untilClosed(await rawPeer(fleet, peer, nonsense));
      }
      const flood = await rawPeer(fleet, peer, hello, {
        kind: "block",
        piece: 0,
        offset: 0,
        bytes: 262_144,
      });
      flood.write(Buffer.alloc(262_144));
      assert.match(await untilClosed(flood), /protocol violation/);
    }));

  test(`${name}: a connection without hello, and an idle one, are closed in time`, () =>
    withFleet(async (fleet) => {
      let aheadMs = 0;
      const peer = await fleet.start("agent-1", { now: () => monotonicNow() + aheadMs });
      const silent = await rawPeer(fleet, peer);
      const greeted = await rawPeer(fleet, peer, helloOf(fleet));
      await once(greeted, "data");
      const closings = Promise.all([untilClosed(silent), untilClosed(greeted)]);
      aheadMs = 11_000;
      await once(silent, "close");
      assert.equal(peer.swarm.peers(), 1);
      aheadMs = 72_000;
      await closings;
      await until("no peer is left", () => peer.swarm.peers() === 0);
    }));

  test(`${name}: leaving rejects who waits for pieces, and frees the pack to be joined again`, () =>
    withFleet(async (fleet) => {
      const peer = await fleet.start("agent-1");
      const waiting = assert.rejects(peer.swarm.whenHas([0]), /was left/);
      assert.throws(() => peer.node.join(PACK, peer.store, "all"), /joined already/);
      await peer.swarm.leave();
      await waiting;
      const again = peer.node.join(PACK, peer.store, [0]);
      assert.equal(again.progress().wanted, 1);
    }));
}
