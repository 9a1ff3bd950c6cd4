// A whole fleet on hosts of the lab: control plane, worker and relay on the first, an agent on each other, and
// the command line beside the control plane. Its programs are those that users start; the disk is shared.
import type { ChildProcess } from "node:child_process";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { packageRoot } from "../../runtime/package-root.ts";
import { mainOf, type ProgramName } from "../../test/lab/start-program.ts";
import { until } from "../../test/lab/until.ts";
import { endGroup, Lines } from "./host-process.ts";
import type { LabNetwork } from "./network.ts";

const MILLRACE = fileURLToPath(new URL("cli/millrace.js", packageRoot()));
const NODE = [process.execPath, "--disable-warning=ExperimentalWarning"];
const PORTS = { api: 7070, relay: 7080, swarm: 7081, agent: 7100 };
/** An agent that is told to end stops its services first. */
const END_MS_MAX = 15_000;

export class ShapedFleet {
  readonly #network: LabNetwork;
  readonly #folder: string;
  readonly #programs: ChildProcess[] = [];

  /** Starts a fleet with an agent on every host but the first; resolves when all agents have a relay. */
  static async start(network: LabNetwork, folder: string, agents: number): Promise<ShapedFleet> {
    const fleet = new ShapedFleet(network, folder);
    try {
      await fleet.#start(agents);
      return fleet;
    } catch (error) {
      await fleet.stop();
      throw error;
    }
  }

  private constructor(network: LabNetwork, folder: string) {
    this.#network = network;
    this.#folder = folder;
  }

  /** What a command prints with --json, if it ends with one of these codes. */
  async read<Answer>(args: readonly string[], codes: readonly number[] = [0]): Promise<Answer> {
    const api = `${this.#network.address(0)}:${PORTS.api}`;
    const argv = [process.execPath, MILLRACE, ...args, "--json", "--addr", api];
    const child = this.#network.start(0, argv);
    let [stdout, stderr] = ["", ""];
    child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      stdout += text;
    });
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      stderr += text;
    });
    const code = await ended(child);
    if (!codes.includes(code ?? -1)) {
      throw new Error(`millrace ${args.join(" ")} ended with ${code}: ${stdout}${stderr}`);
    }
    return JSON.parse(stdout.trimEnd().split("\n").at(-1) ?? "") as Answer;
  }

  /** Ends every program, and the services that agents run. */
  async stop(): Promise<void> {
    const living = this.#programs.filter((one) => one.exitCode === null && one.signalCode === null);
    const ends = living.map(ended);
    for (const program of living) program.kill("SIGTERM");
    await Promise.race([Promise.all(ends), sleep(END_MS_MAX, undefined, { ref: false })]);
    await Promise.all(living.map(endGroup));
  }

  async #start(agents: number): Promise<void> {
    const first = this.#network.address(0);
    const path = (name: string) => join(this.#folder, name);
    const origin = ["--origin", `file:${path("origin")}`];
    const api = `${first}:${PORTS.api}`;
    const store = ["--store", `sqlite:${path("controlplane/millrace.db")}`];
    await this.#program("controlplane", 0, [...store, ...origin, "--listen", api, "--insecure"]);
    const known = ["--controlplane", api, ...origin];
    await this.#program("worker", 0, [...known, "--root", path("worker")]);
    const region = ["--region", "lab"];
    const listens = ["--listen", `${first}:${PORTS.relay}`, "--swarm-listen"];
    const stores = ["--root", path("relay"), "--region-store", `file:${path("region")}`];
    const relay = [...known, ...region, ...stores, ...listens, `${first}:${PORTS.swarm}`];
    await this.#program("relay", 0, [...relay, "--insecure"]);
    // One after the other: many that start at once on few cores take longer than the sum.
    for (let host = 1; host <= agents; host += 1) {
      const listen = ["--listen", `${this.#network.address(host)}:${PORTS.agent}`, "--insecure"];
      const own = ["--root", path(`agent-${host}`), "--stop-services"];
      const join = ["--join", `${first}:${PORTS.relay}`];
      await this.#program("agent", host, [...region, ...join, ...listen, ...own]);
    }
    await until("all agents have a relay", async () => {
      const { agents: known } = await this.read<{ agents: readonly unknown[] }>(["agents"]);
      return known.length === agents;
    });
  }

  /** Starts a program on a host; resolves when it is ready. */
  async #program(name: ProgramName, host: number, flags: readonly string[]): Promise<void> {
    const child = this.#network.start(host, [...NODE, mainOf(name), ...flags]);
    this.#programs.push(child);
    await new Lines(`${name} on host ${host}`, child).starting('{"ready":true');
  }
}

function ended(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve) => child.once("close", resolve));
}
