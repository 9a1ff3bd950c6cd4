// What an operator watches of a process's part in the swarms: bytes by direction and by kind of peer.
import { gauge, total } from "../telemetry.ts";
import type { SwarmNode } from "./swarm-node.ts";

/** Begins to measure; call it once a process. */
export function measureSwarms(node: SwarmNode): void {
  const received = (): [number, Record<string, string>][] => [
    [node.bytes.fromRelay, { source: "relay" }],
    [node.bytes.fromPeers, { source: "peer" }],
  ];
  total("millrace.swarm.received", "Bytes of pieces received, by source", received, "By");
  total("millrace.swarm.sent", "Bytes of pieces sent to others", () => node.bytes.sent, "By");
  gauge("millrace.swarm.packs", "Packs whose swarms it is in", () => node.packs, "{pack}");
  gauge(
    "millrace.swarm.connections",
    "Connections with peers",
    () => node.connections,
    "{connection}",
  );
}
