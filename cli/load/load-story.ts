// A load run on this machine, phase by phase: connect all, one command to all, a machine that dies, a relay that is
// killed while a rollout goes on. What it measures is in `LoadFigures`; nothing is judged here.
import { join } from "node:path";
import { call } from "../../runtime/grpc/client.ts";
import { pause } from "../../runtime/program/back-off.ts";
import { CommandError, EXIT } from "../../runtime/program/exit-codes.ts";
import { processUsage } from "../../runtime/program/process-usage.ts";
import { type ControlPlane, openControlPlane } from "../remote/control-plane.ts";
import { rolloutStateName } from "../remote/states.ts";
import { type System, startSystem } from "../up/system.ts";
import { AgentDrivers, type DriverOptions } from "./agent-drivers.ts";
import { LeaderWatch } from "./leader-watch.ts";
import { CONNECTION_AGENTS_MAX, type LoadPlan, planConnections } from "./load-plan.ts";
import { buildReleases } from "./load-releases.ts";
import { clockRollout } from "./rollout-clock.ts";

/** A leader hears of a machine by reports once a second. */
const LOOK_MS = 100;
/** Agents with a connection each: a machine has not the ports for more at one address. */
const CONNECTIONS = 1_000;
/** How long the leader is looked at with nothing going on. */
const QUIET_MS = 5_000;

/** Everybody at once, whatever fails: the command is measured, not caution. */
const ALL_AT_ONCE = {
  waves: [{ percent: 100, regions: [], labels: {}, bakeMs: 0 }],
  ...{ failuresPercent: 100, maxUnavailablePercent: 100, targets: {}, sampleMin: 0, urgent: false },
};
/** As a service has it that cares: a tenth first, and a few out at a time. */
const WITH_CARE = {
  waves: [10, 100].map((percent) => ({ percent, regions: [], labels: {}, bakeMs: 0 })),
  ...{ failuresPercent: 10, maxUnavailablePercent: 10, targets: {}, sampleMin: 0, urgent: false },
};

/** What a run can measure beside connecting: in this order. */
export const LOAD_PHASES = ["connections", "quiet", "command", "dead", "storm", "rollout"] as const;

/**
 * `connections`: agents with one each, apart. `quiet`: nothing goes on. `command`: one to all. `dead`: a machine loses its power. `storm`: a relay
 * is killed; `rollout`: one goes on meanwhile.
 */
export type LoadPhase = (typeof LOAD_PHASES)[number];

/** Seconds are from the command or the kill on; bytes are of memory. What was not asked for is missing. */
export interface LoadFigures {
  readonly sessions: number;
  readonly connections: number;
  readonly connected_s: number;
  /** By the leader's count. */
  readonly ack_99_s?: number;
  readonly ack_999_s?: number;
  readonly ack_all_s?: number;
  /** By the agents' own: their permits have come. */
  readonly permits_all_s?: number;
  readonly bytes_per_session: number;
  /** Of 1,000 agents with a connection each, measured apart. */
  readonly bytes_per_connection?: number;
  readonly leader_rss_mb: number;
  /** Most at any time once all are connected. */
  readonly leader_streams: number;
  /** While they connect: agents that have no relay yet ask for one. */
  readonly leader_calls_connecting: number;
  readonly leader_cpu_quiet?: number;
  readonly leader_cpu_ack?: number;
  readonly leader_writes_ack_per_s?: number;
  readonly reports_quiet_per_s?: number;
  readonly reports_most_per_s: number;
  readonly dead_known_s?: number;
  readonly storm_agents?: number;
  readonly storm_back_s?: number;
  readonly storm_rollout_s?: number;
  /** 1 where the rollout that went on meanwhile succeeded, else 0. */
  readonly storm_rollout_ok?: number;
}

export interface LoadRun {
  readonly plan: LoadPlan;
  readonly phases: ReadonlySet<LoadPhase>;
  readonly root: string;
  readonly say: (text: string) => void;
  readonly signal: AbortSignal;
}

/** Runs it all and ends what it started. Throws CommandError, or the signal's reason. */
export async function loadHere(run: LoadRun): Promise<LoadFigures> {
  const apart = planConnections(Math.min(run.plan.agents, CONNECTIONS));
  const apartRun = { ...run, plan: apart, root: join(run.root, "connections") };
  const isApart = run.phases.has("connections");
  const bytes = isApart ? await inSystem(apartRun, (story) => story.memoryOfEach(1)) : undefined;
  const figures = await inSystem(run, (story) => story.tell());
  return { ...figures, ...(bytes !== undefined && { bytes_per_connection: bytes }) };
}

/** Starts a system for the run, hands it over, and ends it. */
async function inSystem<Result>(
  run: LoadRun,
  use: (story: LoadStory) => Promise<Result>,
): Promise<Result> {
  const { plan, root, say, signal } = run;
  const { regions, relaysPerRegion: relays, relayCapacity } = plan;
  say(`Starting a control plane and ${regions.length * relays} relays below ${root} ...`);
  const options = { root, port: 0, regions, relays, relayCapacity, agents: 0, workers: 1 };
  const system = await startSystem({ ...options, labels: [], metrics: true }, say, signal);
  const plane = openControlPlane(system.address);
  const story = new LoadStory(run, system, plane);
  try {
    return await use(story);
  } finally {
    await story.stop();
    plane.close();
    await system.stop();
  }
}

class LoadStory {
  readonly #run: LoadRun;
  readonly #system: System;
  readonly #plane: ControlPlane;
  readonly #leader: LeaderWatch;
  readonly #relays: readonly string[];
  readonly #drivers: AgentDrivers[] = [];

  constructor(run: LoadRun, system: System, plane: ControlPlane) {
    this.#run = run;
    this.#system = system;
    this.#plane = plane;
    const pid = system.pid("controlplane") ?? 0;
    this.#leader = new LeaderWatch(pid, system.metrics.get("controlplane") ?? 0);
    const { regions, relaysPerRegion } = run.plan;
    this.#relays = regions.flatMap((region) =>
      Array.from({ length: relaysPerRegion }, (_, index) => `relay-${region}-${index + 1}`),
    );
  }

  /** Connects all, so many to a connection; gives what relays hold for each, bytes. */
  async memoryOfEach(agentsPerConnection: number): Promise<number> {
    const { plan, say, signal } = this.#run;
    const { agents, drivers } = plan;
    const idle = this.#relayMemory();
    const driver = this.#drive(
      new AgentDrivers(drivers, { ...this.#driverOptions(), agentsPerConnection }),
    );
    await driver.begin(signal);
    await driver.until(({ connected }) => connected === agents, signal);
    await this.#counted(agents);
    const bytes = Math.round((this.#relayMemory() - idle) / agents);
    say(`A relay holds ${bytes} bytes for an agent with a connection of its own.`);
    return bytes;
  }

  async tell(): Promise<LoadFigures> {
    const { plan, phases, root, say, signal } = this.#run;
    const { agents } = plan;
    const needed = Number(phases.has("command")) + Number(phases.has("rollout"));
    const releases = await buildReleases(this.#plane, join(root, "repository"), needed, signal);
    const idle = this.#relayMemory();

    say(`Connecting ${agents} agents from ${plan.drivers.length} processes ...`);
    const drivers = this.#drive(new AgentDrivers(plan.drivers, this.#driverOptions()));
    await drivers.begin(signal);
    const connectingAt = performance.now();
    await drivers.until(({ connected }) => connected === agents, signal);
    const connected_s = secondsSince(connectingAt);
    const { connections } = drivers.standing;
    await this.#counted(agents);
    say(`All are connected after ${connected_s.toFixed(1)} s, ${connections} connections.`);
    const leader_calls_connecting = this.#leader.forget();
    const quiet = phases.has("quiet") ? await this.#quiet() : {};

    const ack = phases.has("command")
      ? await this.#acknowledge(drivers, releases.shift() ?? "")
      : {};
    const bytes_per_session = Math.round((this.#relayMemory() - idle) / agents);
    const leaderMb = Math.round(this.#leader.rssBytesMost / 2 ** 20);
    say(`Relays hold ${bytes_per_session} bytes a session, the leader ${leaderMb} MB.`);
    const dead = phases.has("dead") ? { dead_known_s: await this.#die() } : {};
    const storm = await this.#stormAsAsked(drivers, releases.shift());
    return {
      ...{ sessions: agents, connections, connected_s, bytes_per_session },
      leader_rss_mb: this.#leader.rssBytesMost / 2 ** 20,
      ...{ leader_streams: this.#leader.streamsMost, leader_calls_connecting },
      reports_most_per_s: this.#leader.reportsPerSMost,
      ...quiet,
      ...ack,
      ...dead,
      ...storm,
    };
  }

  async stop(): Promise<void> {
    this.#leader.stop();
    await Promise.all(this.#drivers.map((drivers) => drivers.stop()));
  }

  async #quiet() {
    const share = await this.#leader.share();
    await pause(QUIET_MS, this.#run.signal);
    const { cpu, reportsPerS } = await share();
    return { leader_cpu_quiet: cpu, reports_quiet_per_s: reportsPerS };
  }

  /** One command to all at once. */
  async #acknowledge(drivers: AgentDrivers, sha: string) {
    const { plan, say, signal } = this.#run;
    say("Rolling a release out to all of them at once ...");
    const share = await this.#leader.share();
    const startedAt = performance.now();
    const permitted = drivers.until(({ permits }) => {
      return Object.values(permits).some((count) => count >= plan.agents);
    }, signal);
    const permits = permitted.then(() => secondsSince(startedAt));
    permits.catch(() => {});
    const { rollout, seconds } = await clockRollout({
      ...{ plane: this.#plane, sha, policy: ALL_AT_ONCE, signal },
      machines: plan.agents,
      shares: [0.99, 0.999, 1],
    });
    const leader = await share();
    const state = rolloutStateName(rollout.state);
    if (state !== "succeeded") {
      throw new CommandError(EXIT.rolloutFailed, `rollout ${rollout.id}: ${rollout.message}`);
    }
    const [ack_99_s = 0, ack_999_s = 0, ack_all_s = 0] = [0.99, 0.999, 1].map((one) => {
      return seconds.get(one) ?? Number.NaN;
    });
    say(
      `All have acknowledged after ${ack_all_s.toFixed(1)} s, 99.9 % after ${ack_999_s.toFixed(1)} s.`,
    );
    return {
      ...{ ack_99_s, ack_999_s, ack_all_s },
      permits_all_s: await permits,
      leader_cpu_ack: leader.cpu,
      leader_writes_ack_per_s: leader.writesPerS,
    };
  }

  /** One machine more connects, and loses its power: seconds until the leader knows. */
  async #die(): Promise<number> {
    const { plan, say, signal } = this.#run;
    say("One machine loses its power ...");
    const region = plan.regions[0] as string;
    const driver = this.#drive(
      new AgentDrivers([{ region, prefix: "load-dying", agents: 1 }], this.#driverOptions()),
    );
    await driver.begin(signal);
    await driver.until(({ connected }) => connected === 1, signal);
    await this.#counted(plan.agents + 1);
    driver.freeze();
    const seconds = await this.#counted(plan.agents);
    await driver.stop();
    say(`The leader knew after ${seconds.toFixed(1)} s.`);
    return seconds;
  }

  async #stormAsAsked(drivers: AgentDrivers, sha: string | undefined) {
    if (sha !== undefined) return this.#stormInRollout(drivers, sha);
    if (!this.#run.phases.has("storm")) return {};
    this.#run.say("Killing a relay ...");
    const figures = await this.#kill(drivers);
    this.#run.say(`All were back after ${figures.storm_back_s.toFixed(1)} s.`);
    return figures;
  }

  /** A relay is killed in mid-rollout. */
  async #stormInRollout(drivers: AgentDrivers, sha: string) {
    const { plan, say, signal } = this.#run;
    say("Killing a relay while a rollout goes on ...");
    let back: Promise<{ storm_agents: number; storm_back_s: number }> | undefined;
    const startedAt = performance.now();
    const { rollout } = await clockRollout({
      ...{ plane: this.#plane, sha, policy: WITH_CARE, signal },
      ...{ machines: plan.agents, shares: [] },
      onState: (_, active) => {
        if (active > 0) back ??= this.#kill(drivers);
      },
    });
    const storm_rollout_s = secondsSince(startedAt);
    if (back === undefined)
      throw new CommandError(EXIT.error, "the rollout ended before a relay was killed");
    const figures = await back;
    const state = rolloutStateName(rollout.state);
    say(
      `${figures.storm_agents} agents lost their relay, and were back after ` +
        `${figures.storm_back_s.toFixed(1)} s; the rollout ${state}.`,
    );
    return { ...figures, storm_rollout_s, storm_rollout_ok: state === "succeeded" ? 1 : 0 };
  }

  async #kill(drivers: AgentDrivers) {
    const { plan, signal } = this.#run;
    this.#system.killOne(this.#relays[0] as string);
    const killedAt = performance.now();
    let least = plan.agents;
    await drivers.until(({ connected }) => {
      least = Math.min(least, connected);
      return least < plan.agents && connected === plan.agents;
    }, signal);
    const storm_back_s = secondsSince(killedAt);
    await this.#counted(plan.agents);
    return { storm_agents: plan.agents - least, storm_back_s };
  }

  /** Waits until the leader counts exactly so many machines; gives the seconds. */
  async #counted(machines: number): Promise<number> {
    const startedAt = performance.now();
    const { fleet } = this.#plane;
    for (;;) {
      const { regions } = await call(fleet, fleet.listRegions, {});
      if (regions.reduce((sum, { agents }) => sum + agents, 0) === machines) {
        return secondsSince(startedAt);
      }
      await pause(LOOK_MS, this.#run.signal);
      this.#run.signal.throwIfAborted();
    }
  }

  #drive(drivers: AgentDrivers): AgentDrivers {
    this.#drivers.push(drivers);
    return drivers;
  }

  #driverOptions(): DriverOptions {
    return {
      join: this.#system.address,
      agentsPerConnection: CONNECTION_AGENTS_MAX,
      ratePerS: 0,
      labels: [],
      logs: join(this.#run.root, "logs"),
    };
  }

  #relayMemory(): number {
    return this.#relays.reduce((sum, name) => {
      return sum + (processUsage(this.#system.pid(name) ?? 0)?.rssBytes ?? 0);
    }, 0);
  }
}

function secondsSince(startedAt: number): number {
  return (performance.now() - startedAt) / 1_000;
}
