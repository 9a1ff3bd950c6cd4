// Enemies before a peer's port: connections that say nothing or a byte at a time, or read nothing, ids made
// up to fill what is remembered, bytes that are none of the pack's. Honest peers go on beside them.
import assert from "node:assert/strict";
import { once } from "node:events";
import type { Socket } from "node:net";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { encodeFrame } from "../../core/swarm/encode-frame.ts";
import { monotonicNow } from "../../runtime/driver.ts";
import { until } from "../lab/until.ts";
import { type FleetPeer, introduceAll, PACK, type PeerFleet, withFleet } from "./peer-fleet.ts";
import { TcpWay } from "./peer-way.ts";
import { samplePieces } from "./sample-pieces.ts";

const HALF_OPEN = 10_000;

const sample = samplePieces(Array.from({ length: 24 }, (_, piece) => 400_000 + piece * 10_000));

const withPeers = (run: (fleet: PeerFleet) => Promise<void>) =>
  withFleet(sample, new TcpWay(), run);

/** A connection to a peer's port on which nothing is said. */
async function silent({ way }: PeerFleet, { introduction }: FleetPeer): Promise<Socket> {
  const socket = await way.socket(introduction, "raw");
  socket.on("error", () => {});
  return socket;
}

test("threat 11: 10,000 connections that say nothing: few are kept, and honest peers come in and are served", () =>
  withPeers(async (fleet) => {
    const relay = await fleet.start("relay-1", { role: "relay", seeds: true });
    const open = new Set<Socket>();
    let most = 0;
    let whole: Promise<unknown> | undefined;
    for (let done = 0; done < HALF_OPEN; done += 1) {
      const socket = await silent(fleet, relay);
      open.add(socket);
      socket.once("close", () => open.delete(socket));
      // One is accepted in each turn of the event loop; what waits for it is bounded by the kernel.
      await setImmediate();
      most = Math.max(most, relay.node.connections);
      if (done !== HALF_OPEN / 10) continue;
      // They come while the port is full of strangers.
      const agents = await Promise.all([fleet.start("agent-1"), fleet.start("agent-2")]);
      introduceAll([relay, ...agents]);
      whole = Promise.all(agents.map((agent) => fleet.whole(agent)));
    }
    await whole;
    assert(most <= 160, `${most} connections at the relay at one time`);
    for (const socket of open) socket.destroy();
  }));

test("threat 6: a peer that sends a byte now and then is cut off, however long it goes on", () =>
  withPeers(async (fleet) => {
    let aheadMs = 0;
    const peer = await fleet.start("agent-1", { seeds: true, now: () => monotonicNow() + aheadMs });
    const slow = await silent(fleet, peer);
    const hello = { kind: "hello", swarm: PACK, peer: "slow", role: "agent" } as const;
    slow.write(encodeFrame(hello));
    await until("it is connected", () => peer.swarm.peers() === 1);
    // The frame would be whole after two hours.
    const frame = encodeFrame({ kind: "note", bytes: new Uint8Array(8_000) });
    const closing = new Promise((resolve) => slow.once("close", resolve));
    let sent = 0;
    const trickle = setInterval(() => {
      slow.write(frame.subarray(sent, sent + 1));
      sent += 1;
      aheadMs += 1_000;
    }, 20);
    await closing;
    clearInterval(trickle);
    await until("it is forgotten", () => peer.swarm.peers() === 0);
  }));

test("threat 9: 100,000 ids made up to collide or to hit what objects have do no harm", () =>
  withPeers(async (fleet) => {
    const relay = await fleet.start("relay-1", { role: "relay", seeds: true });
    const agent = await fleet.start("agent-1");
    const evil = ["__proto__", "constructor", "toString", "hasOwnProperty", "valueOf"];
    const ids = Array.from({ length: 100_000 }, (_, at) => `${evil[at % evil.length]}-${at}`);
    const nowhere = (peerId: string) =>
      ({ peerId, address: "127.0.0.1:1", role: "agent" }) as const;
    agent.swarm.introduce([...evil, ...ids].map(nowhere));
    introduceAll([relay, agent]);
    for (const name of evil) {
      const socket = await silent(fleet, agent);
      socket.write(encodeFrame({ kind: "hello", swarm: PACK, peer: name, role: "agent" }));
    }
    await fleet.whole(agent);
    assert.equal(Object.prototype.toString.call({}), "[object Object]");
  }));

test("fault 10: who asks for all and reads nothing takes one buffer, holds nobody up, and is dropped after 20 s", () =>
  withPeers(async (fleet) => {
    let aheadMs = 0;
    const now = () => monotonicNow() + aheadMs;
    const relay = await fleet.start("relay-1", { role: "relay", seeds: true, now });
    const stuck = await silent(fleet, relay);
    stuck.pause();
    const hello = { kind: "hello", swarm: PACK, peer: "stuck", role: "agent" } as const;
    stuck.write(encodeFrame(hello));
    // 63 MB: more than the kernel takes for one connection.
    for (let turn = 0; turn < 240; turn += 1) {
      const block = { piece: turn % 24, offset: 0, bytes: 256 * 1024 };
      stuck.write(encodeFrame({ kind: "request", ...block }));
    }
    let sent = -1;
    let looks = 0;
    await until("nothing more leaves", () => {
      looks = relay.swarm.bytes.sent === sent ? looks + 1 : 0;
      sent = relay.swarm.bytes.sent;
      // What it does not confirm for a second is no longer waited for: then the kernel is filled.
      return looks >= 20 && relay.node.buffersTaken > 0;
    });
    assert(sent < 240 * 256 * 1024, `${sent} bytes left, which is all that was asked`);
    assert.equal(relay.node.buffersTaken, 1);

    const agents = await Promise.all([fleet.start("agent-1"), fleet.start("agent-2")]);
    introduceAll([relay, ...agents]);
    await Promise.all(agents.map((agent) => fleet.whole(agent)));
    assert.equal(relay.swarm.peers(), 3);
    aheadMs = 21_000;
    // Somebody who comes makes the relay look at its clock.
    const late = await silent(fleet, relay);
    late.write(encodeFrame({ ...hello, peer: "late" }));
    await once(late, "data");
    await until("its buffer is free", () => relay.node.buffersTaken === 0);
    await until("the two agents and the late one are left", () => relay.swarm.peers() === 3);
    for (const socket of [stuck, late]) socket.destroy();
  }));
