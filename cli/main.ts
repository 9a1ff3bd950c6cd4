// The command `millrace`: finds the subcommand, loads it alone, and turns what goes wrong into a sentence
// and an exit code. Programs are not loaded but take this process's place.
import type { Command, Option } from "commander";
import { CommandError, EXIT } from "../runtime/program/exit-codes.ts";
import { VERSION } from "../runtime/version.ts";
import { controlPlaneAddress } from "./remote/control-plane.ts";
import { asCommandError, isServiceError } from "./remote/failure.ts";
import { programEnvironment } from "./up/program-environment.ts";
import { nodeFlags, PROGRAMS, type Program, programPath } from "./up/program-path.ts";

interface Subcommand {
  readonly summary: string;
  readonly load: () => Promise<Command>;
}

const COMMANDS: Readonly<Record<string, Subcommand>> = {
  up: {
    summary: "run the whole system on this machine",
    load: async () => (await import("./commands/up.ts")).upCommand(),
  },
  demo: {
    summary: "see it work: three ships of an example, on this machine",
    load: async () => (await import("./commands/demo.ts")).demoCommand(),
  },
  load: {
    summary: "load a control plane and relays with virtual agents",
    load: async () => (await import("./commands/load.ts")).loadCommand(),
  },
  ship: {
    summary: "build a git repository, roll it out, wait",
    load: async () => (await import("./commands/ship.ts")).shipCommand(),
  },
  build: {
    summary: "build a git repository, wait",
    load: async () => (await import("./commands/build.ts")).buildCommand(),
  },
  deploy: {
    summary: "roll a release out, or plan to",
    load: async () => (await import("./commands/deploy.ts")).deployCommand(),
  },
  status: {
    summary: "everything at a glance",
    load: async () => (await import("./commands/status.ts")).statusCommand(),
  },
  builds: {
    summary: "builds, or one of them",
    load: async () => (await import("./commands/builds.ts")).buildsCommand(),
  },
  cancel: {
    summary: "cancel a build",
    load: async () => (await import("./commands/cancel.ts")).cancelCommand(),
  },
  logs: {
    summary: "the log of a build",
    load: async () => (await import("./commands/logs.ts")).logsCommand(),
  },
  releases: {
    summary: "releases, or one of them",
    load: async () => (await import("./commands/releases.ts")).releasesCommand(),
  },
  rollouts: {
    summary: "rollouts, or one of them",
    load: async () => (await import("./commands/rollouts.ts")).rolloutsCommand(),
  },
  history: {
    summary: "builds and rollouts that have ended, however long ago",
    load: async () => (await import("./commands/history.ts")).historyCommand(),
  },
  pause: {
    summary: "pause a rollout",
    load: async () => (await import("./commands/steer.ts")).steerCommand("pause"),
  },
  resume: {
    summary: "let a paused rollout go on",
    load: async () => (await import("./commands/steer.ts")).steerCommand("resume"),
  },
  abort: {
    summary: "end a rollout where it stands",
    load: async () => (await import("./commands/steer.ts")).steerCommand("abort"),
  },
  rollback: {
    summary: "go back to the release before",
    load: async () => (await import("./commands/rollback.ts")).rollbackCommand(),
  },
  regions: {
    summary: "regions and their relays",
    load: async () => (await import("./commands/regions.ts")).regionsCommand(),
  },
  leader: {
    summary: "which control plane leads, or have it hand over",
    load: async () => (await import("./commands/leader.ts")).leaderCommand(),
  },
  doctor: {
    summary: "what is wrong with a cluster, and what to do",
    load: async () => (await import("./commands/doctor.ts")).doctorCommand(),
  },
  health: {
    summary: "whether a control plane, or another program, is ready",
    load: async () => (await import("./commands/health.ts")).healthCommand(),
  },
  gc: {
    summary: "packs nobody needs: mark them, delete those that have waited",
    load: async () => (await import("./commands/gc.ts")).gcCommand(),
  },
  simulate: {
    summary: "what a fleet would do, in virtual time",
    load: async () => (await import("./commands/simulate.ts")).simulateCommand(),
  },
  agents: {
    summary: "machines and what they run, or one of them",
    load: async () => (await import("./commands/agents.ts")).agentsCommand(),
  },
};

const PROGRAM_SUMMARIES: Readonly<Record<Program, string>> = {
  controlplane: "the control plane: API, queue, rollouts",
  worker: "builds and packs",
  relay: "serves the machines of a region",
  agent: "runs on every machine",
  swarm: "brings a file to many machines, with nothing else running",
};

await main(process.argv.slice(2));

async function main(args: readonly string[]): Promise<void> {
  const [name, ...rest] = args;
  if (name === undefined || name === "help" || name === "--help" || name === "-h") {
    console.log(help());
    if (name === undefined) process.exitCode = EXIT.usage;
    return;
  }
  if (name === "--version" || name === "-V") return console.log(VERSION);
  const program = PROGRAMS.find((candidate) => candidate === name);
  if (program !== undefined) return become(program, rest);
  const subcommand = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (subcommand === undefined) {
    console.error(`millrace: no command "${name}"\n\n${help()}`);
    process.exitCode = EXIT.usage;
    return;
  }
  const command = await subcommand.load();
  await run(command.name(`millrace ${name}`), rest);
}

async function run(command: Command, args: readonly string[]): Promise<void> {
  try {
    command.exitOverride().configureHelp({ optionDescription });
    await command.parseAsync(args, { from: "user" });
  } catch (error) {
    process.exitCode = explain(error, command);
  }
}

/** A default is worth a word unless it is "not given". */
function optionDescription(option: Option): string {
  const value: unknown = option.defaultValue;
  const isNothing = value === undefined || value === false || option.negate;
  if (isNothing || (Array.isArray(value) && value.length === 0)) return option.description;
  return `${option.description} (default: ${value})`;
}

/** Prints what went wrong and gives the exit code that fits; bugs crash. */
function explain(error: unknown, command: Command): number {
  if (error instanceof Error && error.name === "CommanderError") {
    const { exitCode } = error as Error & { exitCode: number };
    return exitCode === 0 ? EXIT.done : EXIT.usage;
  }
  const shown = asShown(error, command);
  if (shown === undefined) throw error;
  const { message, exitCode } = shown;
  console.error(`${command.name()}: ${message}`);
  // Who reads JSON gets an object in any case.
  if (command.opts<{ json?: boolean }>().json === true) {
    console.log(JSON.stringify({ ok: false, exitCode, error: message }));
  }
  return exitCode;
}

/** What the person at the terminal can do something about; undefined: a bug. */
function asShown(error: unknown, command: Command): CommandError | undefined {
  if (error instanceof CommandError) return error;
  if (isServiceError(error)) {
    return asCommandError(error, controlPlaneAddress(command.opts<{ addr?: string }>().addr));
  }
  // From the operating system, with the path: no such folder, no permission, no space.
  const isSystems = error instanceof Error && "syscall" in error;
  return isSystems ? new CommandError(EXIT.error, error.message) : undefined;
}

/** Replaces this process by a program, which reads the arguments itself. */
function become(program: Program, args: readonly string[]): never {
  if (process.execve === undefined) throw new Error("this platform cannot replace a process");
  return process.execve(
    process.execPath,
    [process.execPath, ...nodeFlags(program), programPath(program), ...args],
    programEnvironment(program) as Record<string, string>,
  );
}

function help(): string {
  const rows = Object.entries(COMMANDS).map(([name, { summary }]) => line(name, summary));
  const programs = PROGRAMS.map((name) => line(name, PROGRAM_SUMMARIES[name]));
  return `millrace ${VERSION}: from a git SHA to every machine

usage: millrace COMMAND [flags]; millrace COMMAND --help tells more

commands
${rows.join("\n")}

programs (each a process of its own; \`up\` starts the first four)
${programs.join("\n")}

Commands find the control plane by --addr, by MILLRACE_ADDR, by this user's running \`up\`, or at
127.0.0.1:7070. Reads and waiting commands take --json.

exit codes: 0 done, 1 error, 2 usage, 3 plan has changes, 4 rollout failed or rolled back,
5 refused by policy, 6 conflict, 124 wait timed out while the work goes on, 130 interrupted`;
}

function line(name: string, summary: string): string {
  return `  ${name.padEnd(13)} ${summary}`;
}
