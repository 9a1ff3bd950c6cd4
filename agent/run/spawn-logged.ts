// Starts what a service brings, its process or its hook: in a session of its own, all that it says
// appended to a log. Waiting for it and ending it is the caller's.
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, mkdirSync, openSync } from "node:fs";
import { dirname } from "node:path";

export interface ServiceCommand {
  readonly argv: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  /** Takes stdout and stderr, appended. */
  readonly logPath: string;
  readonly port: number;
}

/** The child, which emits `spawn` or `error` next. */
export function spawnLogged({ argv, cwd, env, logPath }: ServiceCommand): ChildProcess {
  const [file, ...args] = argv;
  mkdirSync(dirname(logPath), { recursive: true });
  const log = openSync(logPath, "a", 0o644);
  try {
    const stdio = ["ignore", log, log] as const;
    return spawn(file as string, args, { cwd, env, detached: true, stdio: [...stdio] });
  } finally {
    closeSync(log);
  }
}
