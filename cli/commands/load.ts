// `millrace load`: a control plane and relays under virtual agents, on this machine or, with `--target`, a cluster's own.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { Command, InvalidArgumentError } from "commander";
import { CommandError, EXIT } from "../../runtime/program/exit-codes.ts";
import { wholeNumber } from "../../runtime/program/number-flags.ts";
import { parseDuration } from "../../runtime/recipe/duration.ts";
import { planLoad } from "../load/load-plan.ts";
import { LOAD_PHASES, type LoadPhase, loadHere } from "../load/load-story.ts";
import { loadTarget, targetWarning } from "../load/load-target.ts";
import { describeLoad, rounded } from "../load/load-view.ts";
import { printRead } from "../output/print.ts";
import { interruption } from "../up/interruption.ts";
import { makePassingRoot } from "../up/passing-root.ts";

const AGENTS_DEFAULT = 100_000;
/** Against a cluster that serves machines: a region of 20,000 in a bit more than three minutes. */
const RATE_DEFAULT = 100;
/** More than that is no load any more but an attack: what 100,000 agents in a minute are. */
const RATE_MAX = 2_000;

interface Flags {
  readonly agents: number;
  readonly relays: number;
  readonly phases: ReadonlySet<LoadPhase>;
  readonly target?: string;
  readonly region?: string;
  readonly rate: number;
  readonly hold: string;
  readonly yes: boolean;
  readonly root?: string;
  readonly keep: boolean;
  readonly json: boolean;
}

/** The command. */
export function loadCommand(): Command {
  return new Command("load")
    .description(
      "Load a control plane and relays with virtual agents: real streams and the machines of real agents, with " +
        "disks that do nothing. All of it runs on this machine, unless --target names a cluster.",
    )
    .option("--agents <n>", "agents, spread over the regions", wholeNumber(1), AGENTS_DEFAULT)
    .option("--relays <n>", "relays, two a region", wholeNumber(2), 10)
    .option("--phases <names>", `of ${LOAD_PHASES.join(",")}`, phases, new Set(LOAD_PHASES))
    .option("--target <host:port,...>", "control planes of a cluster to join instead; needs --yes")
    .option("--region <name>", "with --target: region to join")
    .option(
      "--rate <n>",
      "with --target: agents that connect a second",
      wholeNumber(1),
      RATE_DEFAULT,
    )
    .option("--hold <duration>", "with --target: how long they stay", "1m")
    .option("--yes", "with --target: the warning has been read", false)
    .option("--root <folder>", "a new folder to work in (default: a temporary one)")
    .option("--keep", "do not remove the folder at the end", false)
    .option("--json", "print one JSON object, last on stdout", false)
    .action(load);
}

async function load(flags: Flags): Promise<void> {
  if (flags.target !== undefined) await loadCluster(flags, flags.target);
  else await loadMachine(flags);
}

async function loadMachine(flags: Flags): Promise<void> {
  const plan = planLoad(flags.agents, flags.relays);
  await inRoot(flags, async (root, say, signal) => {
    const figures = rounded(await loadHere({ plan, phases: flags.phases, root, say, signal }));
    printRead(flags, { ok: true, ...figures }, () => `\n${describeLoad(figures)}`);
  });
}

async function loadCluster(flags: Flags, target: string): Promise<void> {
  const { region, agents, rate: ratePerS, hold, yes } = flags;
  if (region === undefined) throw new CommandError(EXIT.usage, "--target needs --region");
  if (ratePerS > RATE_MAX) {
    throw new CommandError(EXIT.usage, `--rate ${ratePerS}: expected 1 to ${RATE_MAX}`);
  }
  const holdMs = parseDuration(hold);
  if (holdMs === undefined) throw new CommandError(EXIT.usage, `--hold ${hold}: expected "5m"`);
  await inRoot(flags, async (root, say, signal) => {
    const logs = join(root, "logs");
    mkdirSync(logs, { recursive: true });
    const run = { ...{ target, region, agents, ratePerS, holdMs, logs }, say, signal };
    const warning = targetWarning(run);
    if (!yes) throw new CommandError(EXIT.refused, `${warning}\nWith --yes it begins.`);
    console.error(`warning: ${warning}`);
    const figures = rounded(await loadTarget(run));
    printRead(flags, { ok: true, ...figures }, () => {
      const { sessions, connections, connected_s, sessions_least } = figures;
      return (
        `${sessions} agents were connected after ${connected_s} s, ${connections} connections; ` +
        `at least ${sessions_least} of them until they left.`
      );
    });
  });
}

/** Hands over a folder that is removed in the end, a voice, and how to hear of an interruption. */
async function inRoot(
  flags: Flags,
  run: (root: string, say: (text: string) => void, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const signal = interruption();
  const root = makePassingRoot("load", flags.root, flags.keep);
  const say = (text: string): void => {
    if (!flags.json) console.log(text);
  };
  try {
    await run(root.path, say, signal);
  } finally {
    root.clear();
  }
}

function phases(text: string): ReadonlySet<LoadPhase> {
  const names = text.split(",");
  for (const name of names) {
    if (LOAD_PHASES.some((known) => known === name)) continue;
    throw new InvalidArgumentError(`"${name}": expected ${LOAD_PHASES.join(", ")}`);
  }
  return new Set(names as LoadPhase[]);
}
