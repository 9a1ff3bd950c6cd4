// The flags that commands of `millrace` take, by their own --help; for files that name them.
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { packageRoot } from "../../runtime/package-root.ts";

const MILLRACE = fileURLToPath(new URL("cli/millrace.js", packageRoot()));
const known = new Map<string, ReadonlySet<string>>();

/** What is wrong with a line that begins with `millrace COMMAND`: no such command, or flags that it has not. */
export function flagFaults(line: string): string[] {
  const [command = "", ...words] = line.split(/\s+/).slice(1);
  const given = words.filter((word) => /^--[a-z]/.test(word)).map((word) => word.split("=")[0]);
  const flags = flagsOf(command);
  if (flags === undefined) return [`millrace has no command "${command}"`];
  return given
    .filter((flag) => !flags.has(flag as string))
    .map((flag) => `millrace ${command} has no flag ${flag}`);
}

/** Flags of a command; undefined: there is no such command. */
function flagsOf(command: string): ReadonlySet<string> | undefined {
  const before = known.get(command);
  if (before !== undefined) return before;
  try {
    const help = execFileSync(process.execPath, [MILLRACE, command, "--help"], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    });
    const flags = new Set(help.match(/--[a-z][a-z-]*/g) ?? []);
    known.set(command, flags);
    return flags;
  } catch {
    return undefined;
  }
}
