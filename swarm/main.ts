// The program `millrace swarm`: brings a file to many machines with nothing else running. `seed` writes a
// ticket and introduces, `get` fetches by the ticket and gives on. Only the flags are read here.
import { Command, type CommanderError, InvalidArgumentError } from "commander";
import type { SwarmLog } from "../runtime/peer/swarm.ts";
import { CommandError, EXIT } from "../runtime/program/exit-codes.ts";
import { wholeNumber } from "../runtime/program/number-flags.ts";
import { type RateFlags, rateLimits } from "../runtime/program/rate-limits.ts";
import { parseDuration } from "../runtime/recipe/duration.ts";
import { VERSION } from "../runtime/version.ts";
import { get } from "./get.ts";
import { openReport, type Report } from "./report.ts";
import { seed } from "./seed.ts";
import { readTicket } from "./ticket.ts";

/** Longest time of a flag: what a timer takes, 24 days. */
const TIME_MS_MAX = 2 ** 31 - 1;

const SILENT: SwarmLog = { debug: () => {}, info: () => {}, warn: () => {} };

interface AnyFlags extends RateFlags {
  readonly listen?: string;
  readonly advertise?: string;
  readonly seedFor?: number;
  readonly json: boolean;
}

interface SeedFlags extends AnyFlags {
  readonly listen: string;
  readonly ticket: string;
  readonly name?: string;
  readonly urgent: readonly string[];
  readonly growing: boolean;
  readonly size?: number;
  readonly quietFor: number;
}

interface GetFlags extends AnyFlags {
  readonly out: string;
  readonly from?: string;
  readonly force: boolean;
  readonly startFile?: string;
  readonly timeout?: number;
}

/** Flags of both commands. */
function swarmCommand(name: string): Command {
  return rateLimits(new Command(name))
    .exitOverride(exit)
    .option("--advertise <host:port>", "what others are told, where --listen is a wildcard")
    .option("--json", "one JSON object a line", false);
}

const seedCommand = swarmCommand("seed")
  .description("Offer files: write their tickets, introduce whoever comes, give pieces away.")
  .argument("<file...>", "the file, or several")
  .requiredOption("--listen <host:port>", "where peers come; port 0: a free one")
  .requiredOption("--ticket <file>", "where the ticket is written; of several files, the folder")
  .option("--name <name>", "name of the file elsewhere (default: its own)")
  .option(
    "--urgent <file>",
    "of several files one that goes before the others, at all who get them; may be repeated",
    (file: string, before: readonly string[]) => [...before, file],
    [],
  )
  .option(
    "--growing",
    "the file is still being written: give away what is there, as it comes",
    false,
  )
  .option("--size <bytes>", "size that a growing file will have", wholeNumber(0))
  .option("--quiet-for <time>", "without --size: whole after so long without growth", time, 10_000)
  .option("--seed-for <time>", "end after so long (default: until ^C)", time)
  .action((files: string[], flags: SeedFlags, command: Command) =>
    run(command, flags, async (report, stop, log) => {
      const { size, quietFor, seedFor = Infinity, growing, json: _, ...rest } = flags;
      if (files.length > 1 && (size ?? rest.name) !== undefined) {
        throw usage("--size and --name are of a single file");
      }
      if (size !== undefined && !growing) throw usage("--size is of a file with --growing");
      await seed(
        {
          ...rest,
          files,
          isGrowing: growing,
          bytes: size,
          quietMs: quietFor,
          seedForMs: seedFor,
          log,
        },
        report,
        stop,
      );
    }),
  );

const getCommand = swarmCommand("get")
  .description("Fetch the files of tickets, from their seeds and from others who fetch them.")
  .argument("<ticket...>", "the ticket, or several")
  .requiredOption("--out <folder>", "where files are put; made where missing")
  .option("--from <host:port>", "ask this peer instead of the ticket's seed")
  .option(
    "--listen <host:port|none>",
    "where others reach us (default: a free port towards the seed)",
  )
  .option(
    "--seed-for <time>",
    "serve for so long once it is whole; forever: until ^C",
    timeOrForever,
  )
  .option("--timeout <time>", "give up after so long; what is there is kept", time)
  .option("--force", "replace a file of that name", false)
  .option(
    "--start-file <path>",
    "get ready, with the piece table and a rehearsal on loopback, and begin when this file appears",
  )
  .action((paths: string[], flags: GetFlags, command: Command) =>
    run(command, flags, async (report, stop, log) => {
      const { seedFor = 0, timeout = Infinity, startFile, from, json: _, ...rest } = flags;
      const tickets = paths.map(readTicket);
      const times = { timeoutMs: timeout, seedForMs: seedFor };
      await get({ ...rest, ...times, tickets, from, startFile, log }, report, stop);
    }),
  );

await new Command("millrace swarm")
  .description("Bring a file to many machines, with nothing else running.")
  .version(VERSION)
  .exitOverride(exit)
  .addCommand(seedCommand)
  .addCommand(getCommand)
  .parseAsync();

/** Commander has said what is wrong, or has helped. */
function exit({ exitCode }: CommanderError): never {
  process.exit(exitCode === 0 ? EXIT.done : EXIT.usage);
}

/** Does the work, and ends the process with the code that fits. */
async function run(
  command: Command,
  flags: AnyFlags,
  work: (report: Report, stop: AbortSignal, log: SwarmLog) => Promise<void>,
): Promise<never> {
  const stop = new AbortController();
  for (const name of ["SIGINT", "SIGTERM"] as const) {
    process.on(name, () => {
      if (stop.signal.aborted) process.exit(EXIT.interrupted);
      stop.abort();
    });
  }
  try {
    await work(await openReport(flags.json), stop.signal, await openLog());
    process.exit(EXIT.done);
  } catch (error) {
    const isSystems = error instanceof Error && "syscall" in error;
    if (!isSystems && !(error instanceof CommandError)) throw error;
    const exitCode = error instanceof CommandError ? error.exitCode : EXIT.error;
    console.error(`millrace swarm ${command.name()}: ${error.message}`);
    if (flags.json)
      console.log(JSON.stringify({ event: "failed", exitCode, error: error.message }));
    process.exit(exitCode);
  }
}

/** JSON lines on stderr where MILLRACE_LOG names a level; people see the report. */
async function openLog(): Promise<SwarmLog> {
  if (process.env["MILLRACE_LOG"] === undefined) return SILENT;
  return (await import("../runtime/log.ts")).createLog("swarm");
}

function usage(message: string): CommandError {
  return new CommandError(EXIT.usage, message);
}

function time(text: string): number {
  const ms = parseDuration(text);
  if (ms !== undefined && ms <= TIME_MS_MAX) return ms;
  throw new InvalidArgumentError(`"${text}": expected a time up to 24 days, as in 90s or 10m`);
}

function timeOrForever(text: string): number {
  return text === "forever" ? Number.POSITIVE_INFINITY : time(text);
}
