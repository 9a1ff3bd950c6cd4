// Which relay of its region an agent goes to: by rendezvous hash, so that agents spread evenly and a
// relay that comes or goes moves only its own share; full relays and those that just failed come last.
import { waveHash } from "../rollout/wave-hash.ts";

/** A relay as an agent knows it. */
export interface KnownRelay {
  readonly id: string;
  readonly address: string;
  /** Agents connected, and taken at most; 0: not known. */
  readonly agents: number;
  readonly capacity: number;
}

/** The relays in the order in which they are tried; `failed`: addresses that failed since the last success. */
export function relayOrder(
  agentId: string,
  relays: readonly KnownRelay[],
  failed: ReadonlySet<string>,
): KnownRelay[] {
  const cost = (relay: KnownRelay): number =>
    (failed.has(relay.address) ? 2 : 0) +
    (relay.capacity > 0 && relay.agents >= relay.capacity ? 1 : 0);
  return [...relays].sort(
    (a, b) => cost(a) - cost(b) || waveHash(agentId, a.id) - waveHash(agentId, b.id),
  );
}
