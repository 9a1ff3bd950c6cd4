// Flags that `millrace up` gives to programs as it was given them: these know what they mean and which values are
// right, and describe them.
import { type Command, Option } from "commander";
import type { Program } from "./program-path.ts";

/** Flag, what it takes, and the program that takes it. */
const PASSED_ON = [
  ["--build-detect", "ms", "controlplane"],
  ["--history-hot", "days", "controlplane"],
  ["--store-history", "minutes", "controlplane"],
  ["--store-backup", "file", "controlplane"],
  ["--store-backup-every", "minutes", "controlplane"],
  ["--rollout-writes", "n", "controlplane"],
  ["--keep-releases", "n", "controlplane"],
  ["--gc-every", "ms", "controlplane"],
  ["--gc-wait", "ms", "controlplane"],
  ["--region-budget", "bytes", "relay"],
  ["--disk-budget", "bytes", "agent"],
  ["--piece-cache", "bytes", "agent"],
  ["--keep", "n", "agent"],
] as const satisfies readonly (readonly [string, string, Program])[];

const OPTIONS = PASSED_ON.map(([flag, value, program]) => ({
  flag,
  program,
  option: new Option(`${flag} <${value}>`, `passed on: see \`millrace ${program} --help\``),
}));

/** Flags by program, with their values. */
export type PassedFlags = Readonly<Partial<Record<Program, Readonly<Record<string, string>>>>>;

/** Has the command take the flags. */
export function takePassedOn(command: Command): Command {
  for (const { option } of OPTIONS) command.addOption(option);
  return command;
}

/** Those that the command was given. */
export function passedOn(command: Command): PassedFlags {
  const given: Partial<Record<Program, Record<string, string>>> = {};
  for (const { flag, program, option } of OPTIONS) {
    const value: unknown = command.getOptionValue(option.attributeName());
    if (typeof value === "string") given[program] = { ...given[program], [flag]: value };
  }
  return given;
}
