// One ship of the demo: as `millrace ship` does it, then a look at every machine.
import type { AgentInfo } from "../../proto/gen/millrace/v1/fleet.ts";
import { call } from "../../runtime/grpc/client.ts";
import { pause } from "../../runtime/program/back-off.ts";
import { totalsOf } from "../output/describe.ts";
import type { Progress } from "../output/progress.ts";
import type { ControlPlane } from "../remote/control-plane.ts";
import { buildStateName, rolloutStateName, secondsBetween } from "../remote/states.ts";
import { followBuild, followRollout, submit } from "../ship/ship-flow.ts";

/** Relays report once a second: what machines run is known so long after a rollout. */
const SETTLE_MS_MAX = 10_000;

/** Machines asked for at once; a demo has 12. */
const AGENTS_MAX = 1_000;

/** What became of one ship; part of what `demo --json` prints. */
export interface DemoShip {
  readonly service: string;
  readonly sha: string;
  readonly release: string;
  readonly build: { readonly state: string; readonly seconds: number };
  readonly rollout: { readonly id: string; readonly state: string; readonly seconds: number };
  readonly agents: { readonly total: number; readonly active: number };
  readonly bytes: {
    readonly artifact: number;
    readonly packed: number;
    readonly origin: number;
    readonly relay: number;
    readonly peer: number;
    readonly local: number;
  };
}

export interface DemoShipOptions {
  readonly plane: ControlPlane;
  readonly repository: string;
  readonly sha: string;
  /** Release that every machine is to run in the end; undefined: the one that is shipped. */
  readonly expected: string | undefined;
  readonly progress: Progress;
  readonly signal: AbortSignal;
}

/** Ships a commit and waits until every machine runs what it should, or for 10 s. */
export async function shipCommit(options: DemoShipOptions): Promise<DemoShip> {
  const { plane, repository, sha, progress, signal } = options;
  const request = {
    repository,
    ref: sha,
    recipe: "",
    service: "",
    rebuild: false,
    ship: {
      targets: {},
      overrideTargets: false,
      excludedRegions: [],
      supersede: false,
      urgent: false,
    },
    requester: "",
    overallTimeoutMs: 0,
  };
  const { build: asked } = await submit(plane, request, signal);
  const build = await followBuild(plane, asked.id, progress, signal);
  if (build.rollout === "") progress.end();
  const { service, release, outputBytes: artifact, packedBytes: packed } = build;
  const seconds = secondsBetween(build.createdAtMs, build.endedAtMs);
  const built = { service, sha, release, build: { state: buildStateName(build.state), seconds } };
  if (build.rollout === "") {
    const nothing = { origin: 0, relay: 0, peer: 0, local: 0 };
    return {
      ...built,
      rollout: { id: "", state: "none", seconds: 0 },
      agents: { total: 0, active: 0 },
      bytes: { artifact, packed, ...nothing },
    };
  }
  const rollout = await followRollout(plane, build.rollout, progress, signal);
  return {
    ...built,
    rollout: {
      id: rollout.id,
      state: rolloutStateName(rollout.state),
      seconds: secondsBetween(rollout.createdAtMs, rollout.endedAtMs),
    },
    agents: await settledAgents(plane, service, options.expected ?? release, signal),
    bytes: { artifact, packed, ...totalsOf(rollout).bytes },
  };
}

/** Counts machines that run a release of a service, healthy; until all do, or for a while. */
async function settledAgents(
  plane: ControlPlane,
  service: string,
  release: string,
  signal: AbortSignal,
): Promise<DemoShip["agents"]> {
  const until = performance.now() + SETTLE_MS_MAX;
  const request = { region: "", failingOnly: false, limit: AGENTS_MAX, pageToken: "" };
  for (;;) {
    const { agents } = await call(plane.fleet, plane.fleet.listAgents, request);
    const active = agents.filter((agent) => runsHealthy(agent, service, release)).length;
    if (active === agents.length || performance.now() >= until) {
      return { total: agents.length, active };
    }
    await pause(100, signal);
    signal.throwIfAborted();
  }
}

function runsHealthy(agent: AgentInfo, service: string, release: string): boolean {
  return agent.services.some(
    (status) => status.service === service && status.running === release && status.healthy,
  );
}
