// The policy of who makes room for a newcomer when all places for neighbours are taken. Pure.
import type { Instant } from "../machine.ts";
import { EVICT_IDLE_MS } from "./limits.ts";
import type { PeerRole } from "./message.ts";
import type { Neighbour } from "./neighbour.ts";

/**
 * The agent that was useful longest ago. An agent takes the place only of one that has been idle for a
 * while; a relay always gets one, as it is the source of last resort. Undefined: the newcomer has to go.
 */
export function whomToEvict(
  now: Instant,
  newcomer: PeerRole,
  neighbours: Iterable<Neighbour>,
  owesNothingTo: (neighbour: Neighbour) => boolean,
): Neighbour | undefined {
  let victim: Neighbour | undefined;
  for (const one of neighbours) {
    if (one.role === "relay") continue;
    const isIdle = one.requests.length === 0 && owesNothingTo(one);
    if (newcomer === "agent" && (!isIdle || now - one.usefulAt < EVICT_IDLE_MS)) continue;
    if (victim === undefined || one.usefulAt < victim.usefulAt) victim = one;
  }
  return victim;
}
