// A relay on real gRPC for tests of the control plane: the generated client, the real permit desk, and
// machines that are as simple as their rules. It fetches nothing: every pack is whole at once.
import { PermitDesk } from "../../core/rollout/permit-desk.ts";
import type { Standing } from "../../core/rollout/permit-facts.ts";
import type { KeptPermit } from "../../core/rollout/permit-ledger.ts";
import { tallyOf } from "../../core/rollout/permit-tally.ts";
import {
  type Assignment,
  AssignmentPhase,
  type ConnectRelayRequest,
  type ConnectRelayResponse,
  type RelayHello,
  type RolloutTally,
} from "../../proto/gen/millrace/v1/fleet.ts";
import { agentAnswers, censusOf } from "../../relay/answers.ts";
import { deskAssignmentOf } from "../../relay/wire.ts";

/** How fast a relay and its machines are: fast, unless a benchmark wants what real ones do. */
export interface RelayPace {
  readonly reportMs: number;
  /** Each step of a machine: fetching, switching, checking. */
  readonly stepMs: number;
  /** Names of its machines begin so, where several relays have one region. */
  readonly agents?: string;
}

const FAST: RelayPace = { reportMs: 50, stepMs: 15 };

type Command = NonNullable<ConnectRelayResponse["command"]>;
type Message = NonNullable<ConnectRelayRequest["message"]>;

/** A relay as its way to the control plane sees it. */
export interface RelayEnd {
  hello(): RelayHello;
  obey(command: Command): void;
  /** The stream ended with this. */
  refused(message: string): void;
}

/** A way to the control plane. */
export interface RelayWay {
  send(message: Message): void;
  stop(): void;
}

export interface TestMachine {
  readonly id: string;
  running: string;
  /** How often it switched to each release. */
  readonly switched: Map<string, number>;
  standing: Standing;
}

interface Desk {
  readonly desk: PermitDesk;
  readonly kept: KeptPermit[];
  assignment: Assignment;
}

export class TestRelay {
  readonly id: string;
  readonly region: string;
  readonly machines: TestMachine[];
  /** Releases that never become healthy. */
  readonly bad = new Set<string>();
  /** Packs that it does not hold whole, ever. */
  readonly withheld = new Set<string>();
  /** Releases that its machines would go back to. */
  readonly lastGood = new Set<string>();
  /** It does not say what its machines have. */
  isSilent = false;
  /** Its machines take permits early, and have a release only once they have one. */
  isEarly = false;
  /** Highest epoch seen, as it says hello. */
  epoch = 0;
  /** Store that it has followed, as it says hello. */
  store = "";
  /** Errors that streams ended with. */
  readonly refusals: string[] = [];
  readonly packs = new Map<string, number>();
  /** Waves for which permits were granted, and how many at most. */
  readonly quotas: number[] = [];
  readonly #desks = new Map<string, Desk>();
  readonly #way: RelayWay;
  readonly #timer: NodeJS.Timeout;
  readonly #stepMs: number;

  constructor(
    id: string,
    region: string,
    machines: number,
    open: (end: RelayEnd) => RelayWay,
    { reportMs, stepMs, agents = `agent-${region}` }: RelayPace = FAST,
  ) {
    this.id = id;
    this.region = region;
    this.#stepMs = stepMs;
    this.machines = Array.from({ length: machines }, (_, index) => ({
      id: `${agents}-${index}`,
      running: "",
      switched: new Map(),
      standing: standing(),
    }));
    this.#timer = setInterval(() => this.#report(), reportMs);
    this.#way = open({
      hello: () => this.#hello(),
      obey: (command) => this.#obey(command),
      refused: (message) => this.refusals.push(message),
    });
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#way.stop();
  }

  #hello(): RelayHello {
    const about = { address: "127.0.0.1:1", swarmAddress: "127.0.0.1:2", capacity: 100 };
    const { id: relay, region, epoch } = this;
    const hello = { relay, region, boot: "boot", version: "0", ...about };
    return { ...hello, epoch, store: this.store, revision: 0, settleMs: 0 };
  }

  #obey(command: Command): void {
    const now = performance.now();
    switch (command.$case) {
      case "heartbeat": {
        const { epoch, ttlMs } = command.heartbeat;
        this.epoch = Math.max(this.epoch, epoch);
        this.store = command.heartbeat.store || this.store;
        for (const desk of this.#desks.values()) {
          this.#step(desk, { kind: "led", epoch, until: now + ttlMs });
        }
        return;
      }
      case "assignments":
        this.#assign(command.assignments.assignments);
        return;
      case "pack":
        if (command.pack.dropped) this.packs.delete(command.pack.pack);
        else if (!this.withheld.has(command.pack.pack)) {
          this.packs.set(command.pack.pack, command.pack.segments);
        }
        return;
      case "quota": {
        const { rollout, epoch, wave, quota, together, ttlMs } = command.quota;
        this.quotas.push(quota);
        const desk = this.#desks.get(rollout);
        const granted = { kind: "granted", epoch, wave, quota, together, ttlMs } as const;
        if (desk !== undefined) this.#step(desk, granted);
        return;
      }
      case "census": {
        const agents = this.machines.map(({ id }) => this.#candidate(id));
        const census = censusOf(agents, command.census, () => false);
        this.#way.send({ $case: "census", census });
        return;
      }
      case "agents":
        for (const agents of agentAnswers(this.#sessions() as never, command.agents, this.id)) {
          this.#way.send({ $case: "agents", agents });
        }
        return;
      case "uses": {
        const releases = [...this.lastGood].map((digest) => Buffer.from(digest, "hex"));
        const uses = { query: command.uses.query, releases, last: true };
        if (!this.isSilent) this.#way.send({ $case: "uses", uses });
        return;
      }
      default:
    }
  }

  #assign(assignments: readonly Assignment[]): void {
    const own = assignments.find(({ excludedRegions }) => !excludedRegions.includes(this.region));
    for (const [rollout, { assignment }] of this.#desks) {
      if (assignment.service === own?.service && rollout !== own.rollout) {
        this.#desks.delete(rollout);
      }
    }
    if (own === undefined) return;
    const known = this.#desks.get(own.rollout);
    const desk = known ?? {
      desk: new PermitDesk(own.rollout, `${this.id}.${own.rollout}`, [], performance.now(), 5_000),
      kept: [],
      assignment: own,
    };
    desk.assignment = own;
    this.#desks.set(own.rollout, desk);
    this.#step(desk, { kind: "led", epoch: own.epoch, until: performance.now() + 3_000 });
    this.#step(desk, { kind: "assigned", assignment: deskAssignmentOf(own) });
    for (const machine of this.machines) this.#follow(machine, desk);
  }

  /** What a machine does by its assignment, without a permit. */
  #follow(machine: TestMachine, desk: Desk): void {
    const { phase, rollout, release, fallback } = desk.assignment;
    const target = release?.release ?? "";
    if (phase === AssignmentPhase.ASSIGNMENT_PHASE_ROLLBACK) {
      if (machine.running === target) this.#revert(machine, desk, fallback?.release ?? "");
      else this.#become(machine, desk, {});
    } else if (phase === AssignmentPhase.ASSIGNMENT_PHASE_FINAL) {
      if (machine.running !== target) this.#switch(machine, target);
      this.#become(machine, desk, { rollout, phase: "active" });
    } else if (machine.running === target) {
      this.#become(machine, desk, { rollout, phase: "active" });
    } else if (machine.standing.rollout !== rollout) {
      this.#become(machine, desk, { rollout, phase: "fetching", permit: "", error: "" });
      if (this.isEarly) return;
      setTimeout(() => this.#become(machine, desk, { phase: "staged" }), this.#stepMs);
    } else this.#become(machine, desk, {});
  }

  #permitted(machine: TestMachine, desk: Desk, permit: KeptPermit): void {
    const { release, fallback } = desk.assignment;
    const target = release?.release ?? "";
    if (machine.standing.phase !== "staged" && !this.isEarly) return;
    this.#become(machine, desk, { phase: "activating", permit: permit.id });
    this.#switch(machine, target);
    this.#become(machine, desk, { phase: "checking" });
    setTimeout(() => {
      if (machine.standing.phase !== "checking") return;
      if (!this.bad.has(target)) this.#become(machine, desk, { phase: "active" });
      else this.#revert(machine, desk, fallback?.release ?? "", "unhealthy");
    }, this.#stepMs);
  }

  /** Goes back; told so on its way, it says on why it went by itself. */
  #revert(machine: TestMachine, desk: Desk, running: string, error = machine.standing.error): void {
    this.#become(machine, desk, { phase: "reverting", error });
    setTimeout(() => {
      machine.running = running;
      this.#become(machine, desk, { phase: "reverted" });
    }, this.#stepMs);
  }

  #switch(machine: TestMachine, release: string): void {
    machine.running = release;
    machine.switched.set(release, (machine.switched.get(release) ?? 0) + 1);
  }

  #become(machine: TestMachine, desk: Desk, change: Partial<Standing>): void {
    machine.standing = { ...machine.standing, ...change, running: machine.running };
    if (this.#desks.get(desk.assignment.rollout) !== desk) return;
    const candidate = this.#candidate(machine.id);
    const { standing } = machine;
    const stood = { kind: "stood", candidate, standing, takesEarly: this.isEarly } as const;
    this.#step(desk, { ...stood, connected: false });
  }

  #step(desk: Desk, input: Parameters<PermitDesk["step"]>[1]): void {
    const now = performance.now();
    const effects: Parameters<PermitDesk["step"]>[2] = [];
    desk.desk.step(now, input, effects);
    for (const effect of effects) {
      if (effect.kind !== "send") continue;
      const machine = this.machines.find(({ id }) => id === effect.permit.agentId);
      if (machine !== undefined) {
        setTimeout(() => this.#permitted(machine, desk, effect.permit), this.#stepMs);
      }
    }
    if (desk.desk.deadline <= now) this.#step(desk, { kind: "wake" });
  }

  #report(): void {
    const rollouts = [...this.#desks.values()].map((desk): RolloutTally => {
      if (desk.desk.deadline <= performance.now()) this.#step(desk, { kind: "wake" });
      const tally = tallyOf(desk.desk, 100);
      const { rollout, epoch, phase, revision } = desk.assignment;
      const failing = tally.failing.map(({ agentId, ...rest }) => ({ agent: agentId, ...rest }));
      const bytes = { origin: 0, ...tally.bytes };
      const about = { rollout, epoch, phase, revision, closed: tally.isClosed };
      return { ...tally, ...about, failing, bytes, waves: [...tally.waves] };
    });
    const packs = [...this.packs].map(([pack, segments]) => {
      return { pack, segments, whole: true, bytes: segments * 100, error: "" };
    });
    const sums = { agents: this.machines.length, packsWhole: packs.length, bytes: 0, refused: 0 };
    const machine = { clockMs: Date.now(), diskBytes: 0, diskFreeBytes: 0 };
    const report = { ...sums, ...machine, packs, rollouts, epoch: this.epoch };
    this.#way.send({ $case: "report", report });
  }

  #candidate(agentId: string) {
    return { agentId, region: this.region, labels: { role: "web" } };
  }

  #sessions() {
    return this.machines.map(({ id }) => ({
      id,
      services: new Map(),
      info: (relay: string) => ({ ...NO_INFO, id, relay, region: this.region }),
    }));
  }
}

const NO_INFO = {
  labels: {},
  swarmAddress: "",
  version: "",
  connectedAtMs: 0,
  services: [],
  online: true,
  root: "",
};

function standing(): Standing {
  const bytes = { relay: 0, peer: 0, local: 0 };
  const nothing = { rollout: "", running: "", permit: "", error: "", missingBytes: 0 };
  return { ...nothing, phase: "active", bytes };
}
