// A whole cluster of real programs on one machine: etcd of three members, two control planes, two workers, a relay
// and agents, each a process, and a repository to ship. Agents lie where `millrace up` puts them, so that
// machines are looked at in the same way.
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Etcd, startEtcd } from "../lab/etcd.ts";
import { freePorts } from "../lab/free-ports.ts";
import { endServices, type Machine, machinesOf } from "../lab/machines.ts";
import { readMetric } from "../lab/read-metric.ts";
import { Repository } from "../lab/repository.ts";
import { httpSample } from "../lab/sample-service.ts";
import { type StartedProgram, startProgram } from "../lab/start-program.ts";
import { runMillrace } from "../lab/system.ts";
import { until } from "../lab/until.ts";

export const SERVICE = "lasting";
const REGION = "eu";
const REPLICAS = 2;
const AGENTS = 2;
/** Half of the machines, a while to strike in, and the rest. */
const ROLLOUT = {
  waves: [{ percent: 50, bake: "2s" }, { percent: 100 }],
  failures: "100%",
  maxUnavailable: 100,
};

interface Ready {
  readonly id: string;
  readonly address: string;
  readonly metrics: number;
}

type Program = StartedProgram<Ready>;

/** What `millrace leader --json` prints. */
export interface LeaderReport {
  readonly leader: { readonly replica: string; readonly epoch: number };
  readonly behind?: { readonly relay: string; readonly epoch: number };
  readonly missing?: readonly {
    service: string;
    rollout: string;
    release: string;
    build: string;
  }[];
  readonly heard?: readonly string[];
  readonly kept?: readonly string[];
}

/** A build or a rollout, as lists print it. */
interface Work {
  readonly id: string;
  readonly sha: string;
  readonly state: string;
  /** Of a build. */
  readonly attempt?: number;
  /** Of a rollout. */
  readonly release?: string;
}

/** Ends that none of these comes to. */
const BAD = ["failed", "cancelled", "timed_out", "aborted", "rolled_back"];

/** A running cluster. */
export class ClusterWorld {
  readonly root = mkdtempSync(join(tmpdir(), "millrace-cluster-"));
  readonly etcd: Etcd;
  readonly replicas: Program[] = [];
  readonly repository: Repository;
  relay!: Program;
  readonly agents: Program[] = [];
  readonly #addresses: readonly string[];
  readonly #others: Program[] = [];
  #version = 0;

  private constructor(etcd: Etcd, ports: readonly number[]) {
    this.etcd = etcd;
    this.#addresses = ports.map((port) => `127.0.0.1:${port}`);
    this.repository = new Repository(join(this.root, "repository"));
  }

  static async start(): Promise<ClusterWorld> {
    const world = new ClusterWorld(await startEtcd({ members: 3 }), await freePorts(REPLICAS));
    await world.startReplicas();
    const { root } = world;
    const controlplane = ["--controlplane", world.addresses];
    const origin = ["--origin", `file:${join(root, "origin")}`];
    const metrics = ["--metrics-port", "0"];
    const relay = [
      ...[...controlplane, ...origin, ...metrics, "--region", REGION],
      ...["--root", join(root, "regions", REGION, "relay-1")],
      ...["--region-store", `file:${join(root, "regions", REGION, "store")}`],
      ...["--listen", "127.0.0.1:0", "--swarm-listen", "127.0.0.1:0"],
    ];
    // One builds what is rolled out, the other is in the middle of a build meanwhile.
    const worker = (number: number) => [
      ...[...controlplane, ...origin, "--root", join(root, `worker-${number}`)],
    ];
    const agent = (number: number) => [
      ...["--join", world.addresses, "--region", REGION, "--listen", "127.0.0.1:0", ...metrics],
      ...["--root", join(root, "regions", REGION, `agent-${number}`)],
    ];
    [world.relay] = await Promise.all([
      world.#program("relay", relay),
      ...[1, 2].map(async (number) => {
        world.#others.push(await world.#program("worker", worker(number)));
      }),
    ]);
    for (let number = 1; number <= AGENTS; number += 1) {
      world.agents.push(await world.#program("agent", agent(number)));
    }
    return world;
  }

  /** All replicas, with commas between. */
  get addresses(): string {
    return this.#addresses.join(",");
  }

  /** Starts the control planes, again at the addresses of before. */
  async startReplicas(): Promise<void> {
    const flags = [
      "--store",
      `etcd://${this.etcd.hosts}`,
      "--origin",
      `file:${join(this.root, "origin")}`,
    ];
    const started = this.#addresses.map((address) =>
      this.#program("controlplane", ["--listen", address, ...flags]),
    );
    this.replicas.splice(0, this.replicas.length, ...(await Promise.all(started)));
  }

  async killReplicas(): Promise<void> {
    await Promise.all(this.replicas.map((replica) => replica.end("SIGKILL")));
  }

  machines(): Machine[] {
    return machinesOf(this.root);
  }

  /** What each machine's service answers. */
  answers() {
    return Promise.all(this.machines().map((machine) => machine.ask(SERVICE)));
  }

  /** Machines whose service answers no more, or by another process though it is of the same version as before. */
  async startedAnew(before: Awaited<ReturnType<ClusterWorld["answers"]>>): Promise<number> {
    const now = await this.answers();
    return before.filter((was, index) => {
      const is = now[index];
      return (
        was !== undefined &&
        (is === undefined || (is.version === was.version && is.pid !== was.pid))
      );
    }).length;
  }

  /** Highest epoch that each machine has followed. */
  epochs(): number[] {
    return this.machines().map(({ path }) => {
      const text = readFileSync(join(path, SERVICE, "state.json"), "utf8");
      return (JSON.parse(text) as { journal: { epoch: number } }).journal.epoch;
    });
  }

  /** Commands of old that the relay and the agents have refused. */
  async refused(): Promise<number> {
    const relay = await readMetric(this.relay.ready.metrics, "millrace_relay_refused");
    const agents = await Promise.all(
      this.agents.map(({ ready }) => readMetric(ready.metrics, "millrace_agent_refused")),
    );
    return agents.reduce((sum, count) => sum + count, relay);
  }

  millrace(...args: string[]) {
    return runMillrace([...args, "--addr", this.addresses], {
      env: { ...process.env, MILLRACE_HOME: join(this.root, "home") },
    });
  }

  /** What a read prints with --json; asked again while no control plane can answer. */
  async read<Answer>(...args: string[]): Promise<Answer> {
    let said = "";
    const printed = until(`the answer to ${args.join(" ")}`, async () => {
      const { code, stdout, stderr } = await this.millrace(...args, "--json");
      said = stderr;
      return code === 0 && (JSON.parse(stdout.trimEnd().split("\n").at(-1) ?? "") as Answer);
    });
    return (await printed.catch((cause: unknown) => {
      throw new Error(said, { cause });
    })) as Answer;
  }

  /** Who leads, as soon as somebody does, and which process that is. */
  async leader(): Promise<{ report: LeaderReport; replica: Program }> {
    const report = await this.read<LeaderReport>("leader");
    const replica = this.replicas.find(({ ready }) => ready.id === report.leader.replica);
    assert.ok(replica, `${report.leader.replica} is a replica`);
    return { report, replica };
  }

  /**
   * Begins a rollout of a new version and another build, and resolves when half of the machines have it and the
   * build's command runs. `end` lets the build go on, and resolves when both have ended well, each once.
   */
  async begin(): Promise<{ version: string; sha: string; end: () => Promise<void> }> {
    this.#version += 1;
    const version = `${this.#version}`;
    const [gate, begun] = [join(this.root, `gate-${version}`), join(this.root, `begun-${version}`)];
    const run = `echo begun >> ${begun}; until [ -e ${gate} ]; do sleep 0.05; done`;
    const building = this.#commit({ version: `${version}-built`, run });
    await this.#start("build");
    await until("the command to run", () => existsSync(begun));
    const rolling = this.#commit({ version });
    await this.#start("ship");
    const count = async () =>
      (await this.answers()).filter((answer) => answer?.version === version).length;
    await until("half of the machines to have it", async () => (await count()) >= AGENTS / 2);
    const end = async (): Promise<void> => {
      const { release } = await this.#ended("rollouts", rolling);
      writeFileSync(gate, "");
      const { attempt } = await this.#ended("builds", building);
      assert.equal(attempt, 1, "its worker was never taken for lost");
      assert.equal(readFileSync(begun, "utf8"), "begun\n", "built once");
      for (const machine of this.machines()) {
        assert.equal((await machine.ask(SERVICE))?.version, version);
        const started = machine.starts(SERVICE).filter((one) => one === release);
        assert.equal(started.length, 1, "switched once");
      }
    };
    return { version, sha: rolling, end };
  }

  /** Ends everything. */
  async stop(): Promise<void> {
    const all = [...this.agents, ...this.#others, this.relay, ...this.replicas];
    await Promise.all(all.map((program) => program?.end("SIGKILL")));
    endServices(this.root);
    await this.etcd.dispose();
    rmSync(this.root, { recursive: true, force: true });
  }

  #commit(sample: { version: string; run?: string }): string {
    return this.repository.commit(httpSample({ service: SERVICE, rollout: ROLLOUT, ...sample }));
  }

  async #start(command: "build" | "ship"): Promise<void> {
    const { code, stderr } = await this.millrace(command, this.repository.path, "--no-wait");
    assert.equal(code, 0, stderr);
  }

  /** The one build or rollout of a SHA, once it has succeeded. */
  async #ended(kind: "builds" | "rollouts", sha: string): Promise<Work> {
    return until(`the end of ${sha} among ${kind}`, async () => {
      const listed = (await this.read<Record<string, Work[]>>(kind))[kind] ?? [];
      const [one, ...others] = listed.filter((work) => work.sha === sha);
      assert.deepEqual(others, [], `one of ${kind}`);
      assert.ok(one !== undefined && !BAD.includes(one.state), `${kind}: ${one?.state}`);
      return one.state === "succeeded" && one;
    });
  }

  async #program(name: Parameters<typeof startProgram>[0], flags: string[]): Promise<Program> {
    const level = process.env["MILLRACE_LOG"] ?? "error";
    return startProgram<Ready>(name, flags, { MILLRACE_LOG: level });
  }
}
