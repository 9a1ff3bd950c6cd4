// The contract of the swarm over WebRTC data channels, and when they are chosen: where TCP leads nowhere,
// and only there.
import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { test } from "node:test";
import { encodeFrame } from "../../core/swarm/encode-frame.ts";
import { peerContract } from "./peer-contract.ts";
import { PeerFleet } from "./peer-fleet.ts";
import { CallWay } from "./peer-way.ts";
import { samplePieces } from "./sample-pieces.ts";

peerContract("by calls", () => new CallWay());

test("a peer whose address gives no answer is called", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  const fleet = new PeerFleet(samplePieces([300_000, 400_000]), new CallWay());
  try {
    const seed = await fleet.start("seed", { seeds: true });
    const other = await fleet.start("other");
    other.swarm.introduce([{ ...seed.introduction, address: `127.0.0.1:${port}` }]);
    await fleet.whole(other);
  } finally {
    await fleet.close();
  }
});

test("a peer that answers is not called, whatever it says", async () => {
  const asked: string[] = [];
  const way = new CallWay();
  way.tamper = (signal) => {
    asked.push(signal.to);
    return signal;
  };
  const fleet = new PeerFleet(samplePieces([300_000]), way);
  const stranger = createServer((socket) => {
    socket.on("error", () => {});
    socket.end(encodeFrame({ kind: "bye", reason: "unknown swarm" }));
  });
  stranger.listen(0, "127.0.0.1");
  await once(stranger, "listening");
  const dialled = once(stranger, "connection");
  try {
    const peer = await fleet.start("peer");
    const { port } = stranger.address() as AddressInfo;
    const known = { peerId: "stranger", role: "agent", isCallable: true } as const;
    peer.swarm.introduce([{ ...known, address: `127.0.0.1:${port}` }]);
    await dialled;
    const seed = await fleet.start("seed", { seeds: true });
    peer.swarm.introduce([seed.introduction]);
    await fleet.whole(peer);
    assert.deepEqual([...new Set(asked)].toSorted(), [way.id("peer"), way.id("seed")]);
  } finally {
    await fleet.close();
    stranger.close();
  }
});
