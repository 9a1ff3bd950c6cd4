// Started as the new process of a service whose port only one can hold: ends the old process, then
// becomes the new one by execve. So a hand-over goes through even where the agent is killed in it.
import { accessSync, constants } from "node:fs";
import { delimiter, join, resolve } from "node:path";
import { endProcess, type ServiceProcess } from "./service-process.ts";

/** What is handed over, as JSON in the first argument. */
export interface HandOver {
  readonly old: ServiceProcess;
  readonly drainMs: number;
  readonly argv: readonly string[];
}

const { old, drainMs, argv } = JSON.parse(process.argv[2] ?? "") as HandOver;
await endProcess(old, drainMs);
const execve = process.execve as NonNullable<typeof process.execve>;
execve(located(argv[0] as string), [...argv], process.env as Record<string, string>);

/** As execvp finds it: by PATH unless the name has a slash. */
function located(file: string): string {
  if (file.includes("/")) return resolve(file);
  for (const folder of (process.env["PATH"] ?? "").split(delimiter)) {
    const path = join(folder, file);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // The next folder may have it.
    }
  }
  throw new Error(`${file} is in no folder of PATH`);
}
