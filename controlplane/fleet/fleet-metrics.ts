// What an operator watches of the fleet: which relays are connected, how many machines are below them,
// and under which epoch. It only looks; nothing is decided by it.
import { gauge } from "../../runtime/telemetry.ts";
import type { RelayHub } from "./relay-hub.ts";

/** Begins to measure what this replica leads; nothing where `leads` gives none. */
export function measureFleet(leads: () => RelayHub | undefined): void {
  const agents = (): [number, Record<string, string>][] => {
    const hub = leads();
    if (hub === undefined) return [];
    const sums = new Map(hub.known.map(({ region }) => [region, 0]));
    for (const session of hub.sessions) {
      sums.set(session.region, (sums.get(session.region) ?? 0) + session.agents);
    }
    return [...sums].map(([region, sum]) => [sum, { region }]);
  };
  gauge("millrace.agents", "Machines connected to relays, by region", agents, "{agent}");
  const relays = (): [number, Record<string, string>][] => {
    const hub = leads();
    if (hub === undefined) return [];
    const online = new Set(hub.sessions.map(({ relay }) => relay));
    const away = hub.known.filter(({ relay }) => !online.has(relay)).length;
    return [
      [online.size, { state: "online" }],
      [away, { state: "offline" }],
    ];
  };
  gauge("millrace.relays", "Relays that are known, by state", relays, "{relay}");
  const epoch = (): [number, Record<string, string>][] => {
    const hub = leads();
    return hub === undefined ? [] : [[hub.epoch, {}]];
  };
  gauge("millrace.epoch", "Fencing number of this leader", epoch);
}
