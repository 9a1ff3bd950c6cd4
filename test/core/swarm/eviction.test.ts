// Who makes room for whom, and what a full peer says to a newcomer.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { SwarmEffect } from "../../../core/swarm/facts.ts";
import { EVICT_IDLE_MS, NEIGHBOURS_MAX } from "../../../core/swarm/limits.ts";
import { SwarmPeer } from "../../../core/swarm/swarm-peer.ts";

function fullPeer(): SwarmPeer {
  const machine = new SwarmPeer({ peer: "me", role: "agent", seed: 1 });
  for (let n = 0; n < NEIGHBOURS_MAX; n += 1) {
    machine.step(n, { kind: "connected", peer: `a${n}`, role: "agent" }, []);
  }
  return machine;
}

function connect(machine: SwarmPeer, now: number, peer: string, role: "agent" | "relay") {
  const effects: SwarmEffect[] = [];
  machine.step(now, { kind: "connected", peer, role }, effects);
  return effects;
}

test("a newcomer is refused while all neighbours are of use", () => {
  const machine = fullPeer();
  assert.deepEqual(connect(machine, 100, "b", "agent"), [
    { kind: "disconnect", peer: "b", reason: "no room for another peer" },
  ]);
  assert.equal(machine.neighbourCount, NEIGHBOURS_MAX);
});

test("a newcomer takes the place of who was idle longest", () => {
  const machine = fullPeer();
  const now = EVICT_IDLE_MS + NEIGHBOURS_MAX;
  machine.step(
    now - 1,
    { kind: "received", from: "a0", message: { kind: "request", piece: 0, offset: 0, bytes: 1 } },
    [],
  );
  assert.deepEqual(connect(machine, now, "b", "agent"), [
    { kind: "disconnect", peer: "a1", reason: "evicted for another peer" },
  ]);
  assert.equal(machine.neighbourCount, NEIGHBOURS_MAX);
});

test("a relay always gets a place, and never makes room", () => {
  const machine = fullPeer();
  for (let n = 0; n < NEIGHBOURS_MAX; n += 1) {
    const [effect] = connect(machine, 100, `r${n}`, "relay");
    assert.deepEqual(effect, {
      kind: "disconnect",
      peer: `a${n}`,
      reason: "evicted for another peer",
    });
  }
  const now = 100 + 2 * EVICT_IDLE_MS;
  assert.deepEqual(connect(machine, now, "b", "agent"), [
    { kind: "disconnect", peer: "b", reason: "no room for another peer" },
  ]);
});
