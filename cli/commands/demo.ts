// `millrace demo`: a system on this machine, three ships of an example, and nothing left behind.
import { join } from "node:path";
import { Command } from "commander";
import { EXIT } from "../../runtime/program/exit-codes.ts";
import { makeDemoRepository } from "../demo/demo-repository.ts";
import { type DemoReport, tellStory } from "../demo/demo-story.ts";
import { openProgress } from "../output/open-progress.ts";
import type { Progress } from "../output/progress.ts";
import { openControlPlane } from "../remote/control-plane.ts";
import { aborted, interruption } from "../up/interruption.ts";
import { makePassingRoot } from "../up/passing-root.ts";
import { startSystem } from "../up/system.ts";
import { regionNames, type SystemOptions } from "../up/system-plan.ts";

const REGIONS = 3;
const AGENTS = 4;

interface Flags {
  readonly once: boolean;
  readonly json: boolean;
  readonly root?: string;
  readonly keep: boolean;
}

/** The command. */
export function demoCommand(): Command {
  return new Command("demo")
    .description(
      `Run ${REGIONS} regions of ${AGENTS} agents on this machine and ship an example three times: ` +
        "a first release, a small change, and one that is broken.",
    )
    .option("--once", "end after the three ships instead of staying up", false)
    .option("--json", "print one JSON object, last on stdout", false)
    .option("--root <folder>", "a new folder to work in (default: a temporary one)")
    .option("--keep", "do not remove the folder at the end", false)
    .action(demo);
}

async function demo(flags: Flags): Promise<void> {
  const startedAt = performance.now();
  const interrupted = interruption();
  const root = makePassingRoot("demo", flags.root, flags.keep);
  const progress = await openProgress(flags.json);
  const run = { root: root.path, flags, startedAt, progress, interrupted };
  try {
    progress.say(`Starting ${REGIONS} regions of ${AGENTS} agents below ${root.path} ...`);
    const say = (text: string): void => progress.say(text);
    const system = await startSystem(systemOptions(root.path), say, interrupted);
    try {
      say(`${system.processes} processes are up after ${secondsSince(startedAt)} s.`);
      const isOk = await ship(run, system.address);
      process.exitCode = isOk ? EXIT.done : EXIT.error;
      if (!flags.once) {
        say(howToUse(system.address, flags.keep));
        await aborted(interrupted);
      }
    } finally {
      progress.end();
      progress.say("Stopping ...");
      await system.stop();
    }
  } finally {
    root.clear();
  }
  if (flags.keep) progress.say(`Everything is kept below ${root.path}.`);
}

interface DemoRun {
  readonly root: string;
  readonly flags: Flags;
  readonly startedAt: number;
  readonly progress: Progress;
  readonly interrupted: AbortSignal;
}

/** Tells the story, reports it, and gives whether it went as it should. */
async function ship(run: DemoRun, address: string): Promise<boolean> {
  const { flags, progress, interrupted: signal } = run;
  const plane = openControlPlane(address);
  const repository = join(run.root, "hello");
  try {
    const { ships, problems } = await tellStory({
      plane,
      repository,
      commits: makeDemoRepository(repository),
      agents: REGIONS * AGENTS,
      progress,
      signal,
    });
    const report: DemoReport = {
      ok: problems.length === 0,
      seconds: secondsSince(run.startedAt),
      ships,
    };
    for (const problem of problems) console.error(`millrace demo: ${problem}`);
    if (flags.json) console.log(JSON.stringify(report));
    else if (report.ok) progress.say(`\nAll three went as they should, in ${report.seconds} s.`);
    return report.ok;
  } finally {
    plane.close();
  }
}

function systemOptions(root: string): SystemOptions {
  return {
    root,
    port: 0,
    regions: regionNames(String(REGIONS)),
    agents: AGENTS,
    relays: 1,
    workers: 1,
    labels: [],
    metrics: false,
  };
}

function secondsSince(startedAt: number): number {
  return Number(((performance.now() - startedAt) / 1_000).toFixed(1));
}

function howToUse(address: string, keep: boolean): string {
  return `
It stays up. In another terminal:
  export MILLRACE_ADDR=${address}
  millrace status --watch      what goes on
  millrace rollouts            what was rolled out; millrace rollouts ID tells more
  millrace agents              the machines, and what they run
  millrace ship PATH-OR-URL    ship a repository of your own
Ctrl-C ends it${keep ? "" : " and removes everything"}.`;
}
