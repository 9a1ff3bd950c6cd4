// The flags that commands of `millrace` take, by their sources: those of a command's own file and of the files that
// it imports. For pages and units that name them; it starts nothing.
import { SOURCES, type SourceFile } from "./source-files.ts";

/** Commands whose file has another name. */
const FILES: Readonly<Record<string, string>> = { pause: "steer", resume: "steer", abort: "steer" };

/** What is wrong with a line that begins with `millrace COMMAND`: no such command, or flags that it has not. */
export function flagFaults(line: string): string[] {
  const [command = "", ...words] = line.split(/\s+/).slice(1);
  const source = sourceOf(command);
  if (source === undefined) return [`millrace has no command "${command}"`];
  const flags = flagsOf(source);
  return words
    .filter((word) => /^--[a-z]/.test(word))
    .map((word) => word.split("=")[0] as string)
    .filter((flag) => !flags.has(flag))
    .map((flag) => `millrace ${command} has no flag ${flag}`);
}

function sourceOf(command: string): SourceFile | undefined {
  const paths = [`${command}/main.ts`, `cli/commands/${FILES[command] ?? command}.ts`];
  return SOURCES.find(({ path }) => paths.includes(path));
}

function flagsOf(source: SourceFile): ReadonlySet<string> {
  const imported = source.references.map(({ target }) => target);
  const files = [source, ...SOURCES.filter(({ path }) => imported.includes(path))];
  return new Set(
    files.flatMap(({ text }) =>
      [...text.matchAll(/"(?:-[a-z], )?(--[a-z][a-z-]*)[" ]/g)].map((match) => match[1] as string),
    ),
  );
}
