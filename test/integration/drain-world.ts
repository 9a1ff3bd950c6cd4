// The daemons of a small system, each started by the test itself with its own flags, so that it sees how each
// ends: one control plane, one worker, two relays of a region, two machines.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePorts } from "../lab/free-ports.ts";
import { endServices, type Machine, machinesOf } from "../lab/machines.ts";
import { Repository } from "../lab/repository.ts";
import {
  mainOf,
  type ProgramName,
  type StartedProgram,
  startProgram,
} from "../lab/start-program.ts";
import { until } from "../lab/until.ts";

interface Ready {
  readonly id: string;
  readonly address?: string;
  readonly metrics: number;
}

/** Main module of a program. */
export type MainOf = (name: ProgramName) => string;

/** A daemon; `stop` and `start` it as its supervisor would. */
export class Daemon {
  readonly #kind: ProgramName;
  readonly #flags: readonly string[];
  #program: StartedProgram<Ready> | undefined;

  constructor(kind: ProgramName, flags: readonly string[]) {
    this.#kind = kind;
    this.#flags = [...flags, "--metrics-port", "0"];
  }

  get id(): string {
    return this.#running.ready.id;
  }

  /** `main` says which program it is, where it is not this checkout's. */
  async start(main: MainOf = mainOf): Promise<void> {
    this.#program = await startProgram<Ready>(this.#kind, this.#flags, {}, main(this.#kind));
  }

  /** SIGTERM; the end must be a good one. */
  async stop(): Promise<void> {
    assert.deepEqual(await this.#running.end("SIGTERM"), [0, null], this.#kind);
  }

  kill(): void {
    this.#program?.process.kill("SIGKILL");
  }

  /** Status and text of a page beside the metrics. */
  async page(path: "/livez" | "/readyz"): Promise<{ status: number; text: string }> {
    const answer = await fetch(`http://127.0.0.1:${this.#running.ready.metrics}${path}`);
    return { status: answer.status, text: await answer.text() };
  }

  /** Resolves when the daemon says that it is ready. */
  async isReady(): Promise<void> {
    await until(`${this.#kind} is ready`, async () => (await this.page("/readyz")).status === 200);
  }

  get #running(): StartedProgram<Ready> {
    if (this.#program === undefined) throw new Error(`${this.#kind} was not started`);
    return this.#program;
  }
}

/** The system; `open` starts it. */
export class DrainWorld {
  readonly folder = mkdtempSync(join(tmpdir(), "millrace-drain-"));
  readonly address: string;
  readonly controlplane: Daemon;
  readonly worker: Daemon;
  readonly relays: readonly Daemon[];
  readonly agents: readonly Daemon[];

  private constructor([port, first, second]: readonly number[]) {
    this.address = `127.0.0.1:${port}`;
    const at = (name: string): string => join(this.folder, name);
    const origin = ["--origin", `file:${at("origin")}`];
    this.controlplane = new Daemon("controlplane", [
      ...["--listen", this.address, "--store", `sqlite:${at("store.db")}`, ...origin],
    ]);
    this.worker = new Daemon("worker", [
      ...[
        "--controlplane",
        this.address,
        "--root",
        at("worker"),
        "--drain-timeout",
        "5s",
        ...origin,
      ],
    ]);
    this.relays = [first, second].map(
      (listen, index) =>
        new Daemon("relay", [
          ...["--controlplane", this.address, "--region", "eu", ...origin],
          ...["--root", at(`relay-${index}`), "--region-store", `file:${at("eu")}`],
          ...["--listen", `127.0.0.1:${listen}`, "--swarm-listen", "127.0.0.1:0"],
        ]),
    );
    this.agents = ["1", "2"].map(
      (index) =>
        new Daemon("agent", [
          ...["--join", this.address, "--region", "eu", "--label", `index=${index}`],
          ...["--root", join(this.folder, "regions", "eu", `agent-${index}`)],
        ]),
    );
  }

  static async open(main?: MainOf): Promise<DrainWorld> {
    const world = new DrainWorld(await freePorts(3));
    await world.controlplane.start(main);
    const others = world.all.filter((daemon) => daemon !== world.controlplane);
    await Promise.all(others.map((daemon) => daemon.start(main)));
    await Promise.all(world.all.map((daemon) => daemon.isReady()));
    return world;
  }

  get all(): readonly Daemon[] {
    return [this.controlplane, this.worker, ...this.relays, ...this.agents];
  }

  machines(): Machine[] {
    return machinesOf(this.folder);
  }

  repository(name: string): Repository {
    return new Repository(join(this.folder, name));
  }

  close(): void {
    for (const daemon of this.all) daemon.kill();
    endServices(this.folder);
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }
}
