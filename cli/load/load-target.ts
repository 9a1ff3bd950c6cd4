// A load run against a cluster that is there already: virtual agents join one of its regions, stay for a while, and
// go. Nothing is rolled out, nothing killed; what relays and the leader make of it, their own metrics tell.
import { call } from "../../runtime/grpc/client.ts";
import { pause } from "../../runtime/program/back-off.ts";
import { openControlPlane } from "../remote/control-plane.ts";
import { AgentDrivers } from "./agent-drivers.ts";
import { CONNECTION_AGENTS_MAX, planDrivers } from "./load-plan.ts";

/** How often it is told how many are connected. */
const TELL_MS = 5_000;

export interface TargetRun {
  /** Control planes, "host:port,...". */
  readonly target: string;
  readonly region: string;
  readonly agents: number;
  /** Agents that connect a second, in all. */
  readonly ratePerS: number;
  /** How long they stay once all are connected. */
  readonly holdMs: number;
  /** Folder for the logs of the drivers. */
  readonly logs: string;
  readonly say: (text: string) => void;
  readonly signal: AbortSignal;
}

export interface TargetFigures {
  readonly sessions: number;
  readonly connections: number;
  readonly connected_s: number;
  /** Fewest that were connected while they stayed. */
  readonly sessions_least: number;
}

/** What whoever points a load at a cluster is to know before it begins. */
export function targetWarning({ target, region, agents, ratePerS }: TargetRun): string {
  return (
    `${agents} agents that are no machines are to join region ${region} of ${target}, ${ratePerS} a second. ` +
    "They have the label load=true. Rollouts without targets count them, hand permits to them, and hear at once " +
    "that all went well: do not roll anything out meanwhile. A relay that is full of them turns machines away."
  );
}

/** Has them join, stay and go. Throws CommandError, or the signal's reason. */
export async function loadTarget(run: TargetRun): Promise<TargetFigures> {
  const { target, region, agents, ratePerS, holdMs, logs, say, signal } = run;
  const plane = openControlPlane(target);
  try {
    // Clear words where nothing answers or the region is another's, before a process is started.
    await call(plane.fleet, plane.fleet.locateRelays, { region });
  } finally {
    plane.close();
  }
  const suffix = Date.now().toString(36);
  const plans = planDrivers(region, agents, `load-${suffix}`);
  const drivers = new AgentDrivers(plans, {
    join: target,
    agentsPerConnection: CONNECTION_AGENTS_MAX,
    ratePerS: ratePerS / plans.length,
    labels: ["load=true"],
    logs,
  });
  try {
    await drivers.begin(signal);
    const startedAt = performance.now();
    const telling = setInterval(() => say(`${drivers.standing.connected} connected`), TELL_MS);
    try {
      await drivers.until(({ connected }) => connected === agents, signal);
      const connected_s = (performance.now() - startedAt) / 1_000;
      let sessions_least = agents;
      const held = drivers.until(({ connected }) => {
        sessions_least = Math.min(sessions_least, connected);
        return false;
      }, signal);
      await Promise.race([held, pause(holdMs, signal)]);
      signal.throwIfAborted();
      const { connections } = drivers.standing;
      return { sessions: agents, connections, connected_s, sessions_least };
    } finally {
      clearInterval(telling);
    }
  } finally {
    await drivers.stop();
  }
}
