// One machine of a fleet: the agent's own machine for its service, with a disk that puts releases together
// in time and a service that becomes healthy in time, or does not. Bytes come by its region's flow.
import type {
  Effect,
  Input,
  Permit,
  ServiceOrders,
  ServiceReport,
} from "../../core/fleet/agent-facts.ts";
import { EMPTY_JOURNAL } from "../../core/fleet/agent-journal.ts";
import { ServiceMachine } from "../../core/fleet/agent-machine.ts";
import type { Step } from "../../core/fleet/agent-switch.ts";
import type { Standing } from "../../core/rollout/permit-facts.ts";
import type { Candidate } from "../../core/rollout/targets.ts";
import { AgentPacks, type FlowPack } from "./agent-packs.ts";
import { type FlowClock, FlowDriver } from "./flow-clock.ts";
import type { SharedRate } from "./shared-rate.ts";

/** A process is started, or `current` set. */
const START_MS = 50;
/** An old process ends. */
const STOP_MS = 200;
/** Releases kept on disk. */
const KEEP_RELEASES = 3;
const NO_BYTES = { relay: 0, peer: 0, local: 0 };

/** What a machine does with a release that is new to it. */
export interface Behaviour {
  /** Until it is healthy; undefined: it never is. */
  readonly healthyMs: number | undefined;
  /** Until that is found out: its process ends, or its time is over. */
  readonly failedMs: number;
  /** Its process dies so long after it was healthy, and is started again; undefined: it does not. */
  readonly diesAfterMs: number | undefined;
}

/** An agent's relay, as the agent needs it. */
export interface AgentRelay {
  /** What it sends to machines that find too little elsewhere. */
  readonly uplink: SharedRate;
  /** It has said something. */
  heard(agent: FlowAgent): void;
  leave(agent: FlowAgent): void;
}

/** What an agent needs of the fleet. */
export interface AgentWorld {
  readonly clock: FlowClock;
  /** How a machine takes to a release. */
  behaviourOf(agent: FlowAgent, release: string): Behaviour;
  /** The pack that a release is in; undefined: it came before the scenario begins. */
  packOf(release: string): FlowPack | undefined;
  /** Calls back when a machine has a release on its disk, put together. */
  fetch(agent: FlowAgent, release: string, done: () => void): void;
  /** A machine runs a release, healthy, or has gone back from it. */
  switched(agent: FlowAgent, release: string): void;
  /** Notes a fact for the trace. */
  note(who: number, kind: string): void;
}

export class FlowAgent {
  readonly index: number;
  /** Among the machines of its region. */
  readonly place: number;
  readonly candidate: Candidate;
  /** Share of a NIC that it has: 1, or less for a slow one. */
  readonly speed: number;
  relay: AgentRelay | undefined;
  readonly packs: AgentPacks;
  isUp = true;
  /** What it said last. */
  standing: Standing;
  /** A release whose process dies whenever it is started. */
  #ill = "";
  readonly #world: AgentWorld;
  #driver: FlowDriver<Input, Effect> | undefined;

  constructor(
    { index, place }: { readonly index: number; readonly place: number },
    candidate: Candidate,
    speed: number,
    world: AgentWorld,
    running: string,
  ) {
    this.index = index;
    this.place = place;
    this.candidate = candidate;
    this.speed = speed;
    this.#world = world;
    this.packs = new AgentPacks(candidate.agentId, world.clock);
    this.standing = {
      rollout: "",
      running,
      phase: running === "" ? "stopped" : "active",
      permit: "",
      error: "",
      bytes: NO_BYTES,
      missingBytes: 0,
    };
  }

  /** What should run, from its relay. */
  assigned(orders: ServiceOrders): void {
    if (!this.isUp) return;
    this.#input({ kind: "assigned", orders });
  }

  permitted(permit: Permit): void {
    if (this.isUp) this.#input({ kind: "permitted", permit });
  }

  /** It ends for good: nothing more is heard of it. */
  die(): void {
    this.isUp = false;
    this.#driver?.stop();
  }

  /** Frees what it has no use for until it is told something else. */
  rest(): void {
    if (this.standing.phase !== "active") return;
    this.#driver?.stop();
    this.#driver = undefined;
  }

  #input(fact: Input): void {
    this.#world.note(this.index, fact.kind);
    this.#driver ??= this.#boot();
    this.#driver.input(fact);
  }

  /** An agent that is started beside a service that runs adopts it. */
  #boot(): FlowDriver<Input, Effect> {
    const { running } = this.standing;
    const current = running === "" ? undefined : runnable(running);
    const journal = { ...EMPTY_JOURNAL, current };
    const { candidate } = this;
    const machine = new ServiceMachine({ candidate, journal, keepReleases: KEEP_RELEASES });
    const driver = new FlowDriver<Input, Effect>(this.#world.clock, machine, (effects) => {
      for (const effect of effects) this.#perform(effect);
    });
    const known = running === "" ? [] : [running];
    const pointed = current?.release;
    driver.input({ kind: "booted", findings: { onDisk: known, running: known, pointed } });
    return driver;
  }

  #perform(effect: Effect): void {
    switch (effect.kind) {
      case "stage": {
        this.#stage(effect.release);
        return;
      }
      case "perform":
        this.#step(effect.number, effect.step);
        return;
      case "restart":
        this.#restart(effect.release);
        return;
      case "report":
        this.#report(effect.status);
        return;
      case "persist":
      case "unstage":
      case "reap":
      case "repoint":
      case "watch":
      case "collect":
      case "refuse":
      case "refuse-orders":
        return;
      default:
        effect satisfies never;
    }
  }

  #stage(release: string): void {
    const pack = this.#world.packOf(release);
    if (pack !== undefined) this.packs.take(pack);
    this.#world.fetch(this, release, () => {
      if (pack !== undefined) this.packs.release(pack.id);
      this.#tell({ kind: "staged", release });
    });
  }

  #tell(fact: Input): void {
    if (this.isUp && this.#driver !== undefined) this.#input(fact);
  }

  #step(number: number, step: Step): void {
    const done = (ms: number, error?: string): void => {
      this.#world.clock.in(ms, () => this.#tell({ kind: "performed", number, error }));
    };
    switch (step.do) {
      case "check":
        this.#check(step.release, done);
        return;
      case "stop":
        done(STOP_MS);
        return;
      case "hand-over":
        done(STOP_MS + START_MS);
        return;
      case "start":
      case "point":
      case "run-hook":
        done(START_MS);
        return;
      default:
        step satisfies never;
    }
  }

  /** What has begun to die dies each time. */
  #restart(release: string): void {
    this.#world.clock.in(START_MS, () => {
      if (this.#ill === release) this.#die(release);
      else this.#tell({ kind: "probed", release, healthy: true });
    });
  }

  #die(release: string): void {
    this.#ill = release;
    this.#tell({ kind: "exited", release, detail: "ended with exit code 1" });
    this.#tell({ kind: "probed", release, healthy: false });
  }

  #check(release: string, done: (ms: number, error?: string) => void): void {
    const { healthyMs, failedMs, diesAfterMs } = this.#world.behaviourOf(this, release);
    if (healthyMs === undefined) {
      done(failedMs, `not healthy after ${failedMs} ms`);
      return;
    }
    done(healthyMs);
    if (diesAfterMs === undefined) return;
    this.#world.clock.in(healthyMs + diesAfterMs, () => {
      if (this.standing.running === release) this.#die(release);
    });
  }

  #report({ rollout, running, phase, permit, error }: ServiceReport): void {
    const hasSwitched = running !== this.standing.running;
    this.standing = { rollout, running, phase, permit, error, bytes: NO_BYTES, missingBytes: 0 };
    if (hasSwitched || phase === "active") this.#world.switched(this, running);
    this.relay?.heard(this);
  }
}

/** A release as agents run it: a process on a free port. */
export function runnable(release: string) {
  return { release, way: { kind: "process", port: 0 } } as const;
}
