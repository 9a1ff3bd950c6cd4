// `millrace simulate`: a scenario in virtual time, on the machines that run in production; its verdict first.
// The simulator is a process of its own, which tells in lines of JSON how far it is.
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { SingleBar } from "cli-progress";
import { Command } from "commander";
import type { SimulationRun } from "../../core/estimate/simulation-run.ts";
import { moduleUrl } from "../../runtime/module-url.ts";
import { CommandError, EXIT, type ExitCode } from "../../runtime/program/exit-codes.ts";
import { wholeNumber } from "../../runtime/program/number-flags.ts";
import { print } from "../output/print.ts";
import { describeSimulation } from "../output/simulation-view.ts";
import { collect } from "../remote/command-options.ts";

/** 100,000 machines take half a gigabyte; a day with its requests more. */
const HEAP_MB_MAX = 3_500;
/** Most of what a simulation makes is garbage at once. */
const YOUNG_MB_MAX = 64;

interface Flags {
  readonly seed: number;
  readonly agents?: number;
  readonly set: string[];
  readonly json: boolean;
  readonly html?: string;
}

/** One line of the simulator. */
type Line =
  | { readonly share: number }
  | { readonly run: SimulationRun }
  | { readonly error: string; readonly exitCode: ExitCode };

/** The command. */
export function simulateCommand(): Command {
  return new Command("simulate")
    .description(
      "Run a scenario in virtual time: does this fleet meet 30 minutes, and what when it breaks?",
    )
    .argument("<scenario>", "release, day or another that ships, or a YAML file")
    .option("--seed <n>", "of all chance; the same seed gives the same run", wholeNumber(0), 1)
    .option("--agents <n>", "machines, instead of the scenario's", wholeNumber(1))
    .option("--set <path=value>", "change a number of the scenario; repeatable", collect, [])
    .option("--html <file>", "write a page with plots, which needs nothing else")
    .option("--json", "print one JSON object, last on stdout", false)
    .action(simulate);
}

async function simulate(scenario: string, flags: Flags): Promise<void> {
  const run = await runSimulator(scenario, flags);
  const isMet = run.verdict === "met";
  process.exitCode = isMet ? EXIT.done : EXIT.rolloutFailed;
  print(flags, { ok: isMet, ...run }, describeSimulation(run));
}

/** Runs the simulator to its end; throws CommandError with what it says is wrong. */
async function runSimulator(scenario: string, flags: Flags): Promise<SimulationRun> {
  const child = spawn(process.execPath, argumentsOf(scenario, flags), {
    stdio: ["ignore", "pipe", "inherit"],
    env: { NODE_NO_WARNINGS: "1", ...process.env },
  });
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  });
  const bar = flags.json ? undefined : openBar();
  let run: SimulationRun | undefined;
  try {
    for await (const text of createInterface({ input: child.stdout })) {
      const line = JSON.parse(text) as Line;
      if ("share" in line) bar?.update(line.share * 100);
      else if ("run" in line) run = line.run;
      else throw new CommandError(line.exitCode, line.error);
    }
  } finally {
    bar?.stop();
  }
  const code = await ended;
  if (run !== undefined) return run;
  throw new CommandError(EXIT.error, `the simulator ended with code ${code}, and no result`);
}

function argumentsOf(scenario: string, { seed, agents, set, html }: Flags): string[] {
  return [
    `--max-old-space-size=${HEAP_MB_MAX}`,
    `--max-semi-space-size=${YOUNG_MB_MAX}`,
    fileURLToPath(moduleUrl("../../simulator/main.ts", import.meta.url)),
    scenario,
    ...["--seed", String(seed)],
    ...(agents === undefined ? [] : ["--agents", String(agents)]),
    ...(html === undefined ? [] : ["--html", html]),
    ...set.flatMap((change) => ["--set", change]),
  ];
}

function openBar(): SingleBar {
  const format = "simulating [{bar}] {percentage} %, {eta_formatted} left";
  const bar = new SingleBar({
    format,
    hideCursor: true,
    clearOnComplete: true,
    stream: process.stderr,
  });
  bar.start(100, 0);
  return bar;
}
