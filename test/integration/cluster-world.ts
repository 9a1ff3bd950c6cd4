// A whole cluster of real programs on one machine: etcd of three members, two control planes, two workers, a relay
// and agents, each a process, and a repository to ship. Agents lie where `millrace up` puts them, so that
// machines are looked at in the same way.
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ServiceError, status } from "@grpc/grpc-js";
import { type Build, BuildState } from "../../proto/gen/millrace/v1/builds.ts";
import type { Leader } from "../../proto/gen/millrace/v1/leadership.ts";
import { type Rollout, RolloutState } from "../../proto/gen/millrace/v1/rollouts.ts";
import { call } from "../../runtime/grpc/client.ts";
import { readMetric } from "../../runtime/program/read-metric.ts";
import { type Etcd, startEtcd } from "../lab/etcd.ts";
import { freePorts } from "../lab/free-ports.ts";
import { endServices, type Machine, machinesOf } from "../lab/machines.ts";
import { Repository } from "../lab/repository.ts";
import { httpSample } from "../lab/sample-service.ts";
import { type StartedProgram, startProgram } from "../lab/start-program.ts";
import { runMillrace } from "../lab/system.ts";
import { until } from "../lab/until.ts";
import { connectAll } from "./queue-system.ts";

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

type Clients = ReturnType<typeof connectAll>;

/** What a replica that is away, stands still or has no leader to ask answers. */
const AWAY: readonly status[] = [status.UNAVAILABLE, status.DEADLINE_EXCEEDED, status.CANCELLED];
/** One that stands still is passed by after so long. */
const ASKED_MS_MAX = 2_000;

const BUILDS = { service: SERVICE, states: [], limit: 50, pageToken: "" };
const ROLLOUTS = { service: SERVICE, openOnly: false, limit: 50, pageToken: "" };

/** A running cluster. */
export class ClusterWorld {
  readonly root = mkdtempSync(join(tmpdir(), "millrace-cluster-"));
  readonly etcd: Etcd;
  readonly replicas: Program[] = [];
  readonly repository: Repository;
  relay!: Program;
  readonly agents: Program[] = [];
  readonly #addresses: readonly string[];
  /** A client of each replica: a command for each look would take a core. */
  readonly #clients: readonly Clients[];
  readonly #others: Program[] = [];
  #version = 0;

  private constructor(etcd: Etcd, ports: readonly number[]) {
    this.etcd = etcd;
    this.#addresses = ports.map((port) => `127.0.0.1:${port}`);
    this.#clients = this.#addresses.map(connectAll);
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
  async leader(): Promise<{ leader: Leader; replica: Program }> {
    const leader = await until("a leader", () => this.#leader(this.#clients));
    const replica = this.replicas.find(({ ready }) => ready.id === leader.replica);
    assert.ok(replica, `${leader.replica} is a replica`);
    return { leader, replica };
  }

  /** Whom a replica takes for the leader; undefined: nobody, or it does not answer. */
  leaderBy(replica: Program): Promise<Leader | undefined> {
    const index = this.replicas.indexOf(replica);
    return this.#leader(this.#clients.slice(index, index + 1));
  }

  #leader(asked: readonly Clients[]): Promise<Leader | undefined> {
    return this.#ask(async ({ leadership }, deadlineMs) => {
      return (await call(leadership, leadership.getLeader, {}, { deadlineMs })).leader;
    }, asked);
  }

  /** Rollouts of the service, newest first; undefined: nobody can tell at this moment. */
  rollouts(): Promise<readonly Rollout[] | undefined> {
    return this.#ask(async ({ rollouts }, deadlineMs) => {
      return (await call(rollouts, rollouts.listRollouts, ROLLOUTS, { deadlineMs })).rollouts;
    });
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
      const { release } = await this.rolledOut(rolling);
      writeFileSync(gate, "");
      const { attempt } = await this.#built(building);
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
    for (const clients of this.#clients) clients.close();
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

  /** The one rollout of a SHA, once it has succeeded. */
  rolledOut(sha: string): Promise<Rollout> {
    const { ROLLOUT_STATE_SUCCEEDED } = RolloutState;
    return this.#ended(sha, ROLLOUT_STATE_SUCCEEDED, () => this.rollouts());
  }

  /** The one build of a SHA, once it has succeeded. */
  #built(sha: string): Promise<Build> {
    const { BUILD_STATE_SUCCEEDED } = BuildState;
    return this.#ended(sha, BUILD_STATE_SUCCEEDED, () =>
      this.#ask(async ({ builds }, deadlineMs) => {
        return (await call(builds, builds.listBuilds, BUILDS, { deadlineMs })).builds;
      }),
    );
  }

  async #ended<Work extends Build | Rollout>(
    sha: string,
    succeeded: Work["state"],
    list: () => Promise<readonly Work[] | undefined>,
  ): Promise<Work> {
    return (await until(`the end of ${sha}`, async () => {
      const [one, ...others] = (await list())?.filter((work) => work.sha === sha) ?? [];
      assert.deepEqual(others, [], "one of its SHA");
      if (one?.endedAtMs) assert.equal(one.state, succeeded, JSON.stringify(one));
      return one?.state === succeeded && one;
    })) as Work;
  }

  /** The first answer of a replica; undefined: none can answer now. */
  async #ask<Answer>(
    ask: (clients: Clients, deadlineMs: number) => Promise<Answer>,
    asked = this.#clients,
  ): Promise<Answer | undefined> {
    for (const clients of asked) {
      try {
        return await ask(clients, ASKED_MS_MAX);
      } catch (error) {
        if (!AWAY.includes((error as ServiceError).code)) throw error;
      }
    }
    return undefined;
  }

  async #program(name: Parameters<typeof startProgram>[0], flags: string[]): Promise<Program> {
    const level = process.env["MILLRACE_LOG"] ?? "error";
    return startProgram<Ready>(name, flags, { MILLRACE_LOG: level });
  }
}
