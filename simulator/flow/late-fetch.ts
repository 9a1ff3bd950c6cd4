// How a machine gets a pack that comes when the others of its region have it: from those whom its relay introduces it
// to, and what they cannot give from the relay, whose uplink all such machines share. A relay that knows no member
// gives all of it.
import { WIRE_RATIO } from "../../core/estimate/broadcast-bound.ts";
import type { Instant } from "../../core/machine.ts";
import type { FlowAgent } from "./flow-agent.ts";
import type { FlowClock } from "./flow-clock.ts";

export interface LateFetchOptions {
  readonly clock: FlowClock;
  /** Of a whole NIC, bytes a millisecond. */
  readonly machineRate: number;
  /** Share of the machines that gives nothing. */
  readonly harmShare: number;
  /** Share of a NIC that a machine has, by its agent's id. */
  readonly speedOf: (agentId: string) => number;
  /** What came from where is added here. */
  readonly bytes: { relay: number; peer: number };
}

export class LateFetch {
  readonly #options: LateFetchOptions;

  constructor(options: LateFetchOptions) {
    this.#options = options;
  }

  /** Calls back when a machine has the bytes of a pack whose swarm it is in, but not before an instant. */
  draw(
    agent: FlowAgent,
    pack: string,
    bytes: number,
    done: () => void,
    notBefore: Instant = 0,
  ): void {
    const { clock, bytes: got } = this.#options;
    const { relay } = agent;
    if (relay === undefined) {
      agent.packs.whenJoined(pack, () => this.draw(agent, pack, bytes, done, notBefore));
      return;
    }
    const { rate, peerShare } = this.#sources(agent, pack);
    const peerBytes = peerShare * bytes;
    const relayBytes = bytes - peerBytes;
    const earliest = Math.max(notBefore, clock.now + bytes / rate);
    const given = (fromRelay: number): void => {
      got.peer += peerBytes;
      got.relay += fromRelay;
    };
    const whole = (): void => {
      given(relayBytes);
      clock.at(Math.max(clock.now, earliest), done);
    };
    // A relay that dies has the rest fetched by way of another one.
    const broken = (leftBytes: number): void => {
      given(relayBytes - leftBytes);
      this.draw(agent, pack, leftBytes, done, earliest);
    };
    if (relayBytes > 0) relay.uplink.add(relayBytes, whole, broken);
    else whole();
  }

  /** How fast a machine can take, bytes a millisecond, and how much of that its mates can give. */
  #sources(agent: FlowAgent, pack: string): { readonly rate: number; readonly peerShare: number } {
    const { machineRate, harmShare, speedOf } = this.#options;
    const speeds = agent.packs.mates(pack).reduce((sum, mate) => sum + speedOf(mate), 0);
    const peerShare = Math.min(1, ((1 - harmShare) * speeds) / agent.speed);
    return { rate: (machineRate * agent.speed) / WIRE_RATIO, peerShare };
  }
}
