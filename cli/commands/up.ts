// `millrace up`: the whole system on this machine, until Ctrl-C.
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { Command } from "commander";
import { wholeNumber } from "../../runtime/program/number-flags.ts";
import { processStartTime } from "../../runtime/program/process-start.ts";
import { collect } from "../remote/command-options.ts";
import { aborted, interruption } from "../up/interruption.ts";
import { passedOn, takePassedOn } from "../up/passed-on.ts";
import { startSystem } from "../up/system.ts";
import { regionNames, type SystemOptions } from "../up/system-plan.ts";
import { announceUp } from "../up/up-state.ts";

interface Flags {
  readonly regions: string;
  readonly agents: number;
  readonly relays: number;
  readonly workers: number;
  readonly root: string;
  readonly port: number;
  readonly blobs?: string;
  readonly label: string[];
  readonly metrics: boolean;
  readonly json: boolean;
}

/** The command. */
export function upCommand(): Command {
  const command = new Command("up")
    .description("Run the whole system on this machine, every program a process of its own.")
    .option("--regions <n|names>", "how many regions, or their names: eu,us", "3")
    .option("--agents <n>", "agents in each region", wholeNumber(0), 4)
    .option("--relays <n>", "relays in each region", wholeNumber(1), 1)
    .option("--workers <n>", "workers", wholeNumber(0), 1)
    .option(
      "--root <folder>",
      "folder that everything is kept in",
      join(homedir(), ".millrace", "up"),
    )
    .option("--blobs <url>", "keep blobs below it, as gs://BUCKET/PREFIX, not in the folder")
    .option("--port <n>", "port of the control plane; 0: a free one", wholeNumber(0), 7070)
    .option("--label <k=v>", "a label for every agent; repeatable", collect, [])
    .option("--metrics", "serve Prometheus metrics, each program on a free port", false)
    .option("--json", "print one JSON object when it is up, nothing else", false);
  return takePassedOn(command).action(run);
}

async function run(flags: Flags, command: Command): Promise<void> {
  const options: SystemOptions = {
    root: resolve(flags.root),
    port: flags.port,
    regions: regionNames(flags.regions),
    agents: flags.agents,
    relays: flags.relays,
    workers: flags.workers,
    labels: flags.label,
    ...(flags.blobs !== undefined && { blobs: flags.blobs }),
    metrics: flags.metrics,
    passedOn: passedOn(command),
  };
  const say = (text: string): void => {
    if (!flags.json) console.log(text);
  };
  const interrupted = interruption();
  const agents = options.regions.length * options.agents;
  say(`starting ${options.regions.length} regions with ${agents} agents below ${options.root} ...`);
  const startedAt = performance.now();
  const system = await startSystem(options, say, interrupted);
  const startTime = processStartTime(process.pid) ?? 0;
  announceUp({ address: system.address, root: options.root, pid: process.pid, startTime });
  const seconds = Number(((performance.now() - startedAt) / 1_000).toFixed(1));
  if (flags.json) {
    const metrics = Object.fromEntries(system.metrics);
    const { address, processes } = system;
    const up = { ok: true, address, root: options.root, processes, seconds, metrics };
    console.log(JSON.stringify(up));
  } else {
    console.log(`${system.processes} processes are up after ${seconds} s, at ${system.address}`);
    for (const [name, port] of system.metrics) {
      console.log(`  metrics of ${name}: http://127.0.0.1:${port}/metrics`);
    }
    console.log(NEXT);
  }
  await aborted(interrupted);
  say("stopping ...");
  process.once("SIGINT", () => system.kill());
  await system.stop();
}

const NEXT = `
In another terminal:
  millrace ship PATH-OR-URL    build a git repository and roll it out
  millrace status --watch      what goes on
  millrace agents              the machines, and what they run
Ctrl-C ends it; what is below the folder is kept for the next time.`;
