// A node of real sockets holds its swarm to the limit that it is given: by a clock that only the test moves.
import assert from "node:assert/strict";
import { test } from "node:test";
import { BLOCK_BYTES_MAX, BLOCK_BYTES_SHORT } from "../../core/swarm/limits.ts";
import { BURST_MS } from "../../core/swarm/rate-limit.ts";
import { until } from "../lab/until.ts";
import { type FleetPeer, introduceAll, withFleet } from "./peer-fleet.ts";
import { TcpWay } from "./peer-way.ts";
import { samplePieces } from "./sample-pieces.ts";

/** A burst is less than any block, so one at a time goes. */
const RATE = BLOCK_BYTES_SHORT / 2 / BURST_MS;
/** Of the clock: a block of any length is paid for. */
const STEP_MS = 2 * (BLOCK_BYTES_MAX / RATE);

const sample = samplePieces([262_144, 262_144, 262_144]);
const total = 3 * 262_144;

for (const { name, whose, passed } of [
  { name: "up", whose: "relay-0", passed: ({ swarm }: FleetPeer) => swarm.bytes.sent },
  { name: "down", whose: "agent-1", passed: ({ swarm }: FleetPeer) => swarm.bytes.fromRelay },
]) {
  test(`a limit ${name}: each step of the clock lets one block pass`, () =>
    withFleet(sample, new TcpWay(), async (fleet) => {
      let clock = 0;
      const limit = { [`${name}Limit`]: RATE * 1_000, now: () => clock };
      const of = (peerId: string) => (peerId === whose ? limit : {});
      const relay = await fleet.start("relay-0", { role: "relay", seeds: true, ...of("relay-0") });
      const agent = await fleet.start("agent-1", of("agent-1"));
      const limited = whose === "relay-0" ? relay : agent;
      introduceAll([relay, agent]);
      let steps = 0;
      for (let before = 0; before < total; steps += 1, clock += STEP_MS) {
        const now = await until("a block passes", () => {
          const bytes = passed(limited);
          return bytes > before && bytes;
        });
        assert(now - before <= BLOCK_BYTES_MAX, `${now - before} bytes went at once`);
        before = now;
      }
      assert(steps >= total / BLOCK_BYTES_MAX, `all went in ${steps} steps`);
      await fleet.whole(agent);
    }));
}
