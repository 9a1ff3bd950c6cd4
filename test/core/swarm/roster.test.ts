// Peers remembered, whoever makes them up: a bounded number, relays and bans kept before others, and few
// dials at a time.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Alarm } from "../../../core/swarm/alarm.ts";
import {
  DIALS_FAILED_MAX,
  DIALS_MAX,
  KNOWN_MAX,
  NEIGHBOURS_MAX,
  STRIKES_MAX,
} from "../../../core/swarm/limits.ts";
import type { PeerId, PeerRole } from "../../../core/swarm/message.ts";
import { seededRandom } from "../../../core/swarm/random.ts";
import { Roster } from "../../../core/swarm/roster.ts";

const MADE_UP = 100_000;

function newRoster(): Roster {
  return new Roster({ self: "me", role: "agent", random: seededRandom(1), alarm: new Alarm() });
}

/** Everybody whom it dials in ten minutes in which all dials fail, and how often. */
function dialled(roster: Roster): Map<PeerId, number> {
  const dials = new Map<PeerId, number>();
  for (let now = 0; now < 600_000; now += 100) {
    const peers = roster.dial(now, NEIGHBOURS_MAX);
    assert(peers.length <= DIALS_MAX, `${peers.length} dials at a time`);
    for (const peer of peers) {
      dials.set(peer, (dials.get(peer) ?? 0) + 1);
      roster.dialFailed(now, peer);
    }
  }
  return dials;
}

for (const role of ["agent", "relay"] satisfies PeerRole[]) {
  test(`threat 9: of 100,000 made-up peers of role ${role} few are remembered, and the relay is one of all`, () => {
    const roster = newRoster();
    roster.introduce(0, "r0", "relay");
    for (let peer = 0; peer < MADE_UP; peer += 1) roster.introduce(0, `x${peer}`, role);
    const peers = dialled(roster);
    assert(peers.has("r0"), "the relay is forgotten");
    assert.equal(peers.size, KNOWN_MAX);
  });
}

test("threat 9: 100,000 ids that come and go, or are only told, do not wash out who is banned", () => {
  const roster = newRoster();
  roster.connected(0, "bad", "agent");
  for (let strike = 1; strike < STRIKES_MAX; strike += 1) {
    assert.equal(roster.strike(0, "bad"), "warned");
  }
  assert.equal(roster.strike(0, "bad"), "banned");
  roster.disconnected(0, "bad");
  for (let peer = 0; peer < MADE_UP / 2; peer += 1) {
    roster.connected(1, `x${peer}`, "agent");
    roster.disconnected(1, `x${peer}`);
    roster.introduce(1, `y${peer}`, "agent");
  }
  assert.equal(roster.connected(2, "bad", "agent"), false);
});

test("threat 10: addresses where nobody answers are dialled a few at a time, 8 times each and then never", () => {
  const roster = newRoster();
  for (let peer = 0; peer < NEIGHBOURS_MAX; peer += 1) roster.introduce(0, `x${peer}`, "agent");
  const dials = dialled(roster);
  assert.equal(dials.size, NEIGHBOURS_MAX);
  assert.deepEqual(new Set(dials.values()), new Set([DIALS_FAILED_MAX]));
});
