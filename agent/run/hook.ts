// Runs the command that a service has instead of a process, at each switch, with a time limit.
import { spawn } from "node:child_process";
import { closeSync, mkdirSync, openSync } from "node:fs";
import { dirname } from "node:path";
import type { ServiceCommand } from "./service-process.ts";

/** A hook restarts or reloads something; five minutes is more than systemd gives a unit (90 s). */
const HOOK_MS_MAX = 300_000;

/** Runs it to its end; what went wrong, or undefined. */
export async function runHook(command: ServiceCommand): Promise<string | undefined> {
  const [file, ...args] = command.argv;
  mkdirSync(dirname(command.logPath), { recursive: true });
  const log = openSync(command.logPath, "a", 0o644);
  const { cwd, env } = command;
  const child = spawn(file as string, args, {
    cwd,
    env,
    detached: true,
    stdio: ["ignore", log, log],
  });
  closeSync(log);
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
  }, HOOK_MS_MAX);
  const fault = await new Promise<string | undefined>((resolve) => {
    child.once("error", (error) => resolve(`hook ${file}: ${error.message}`));
    child.once("exit", (code, signal) => {
      if (isLate) resolve(`hook ${file} ran over ${HOOK_MS_MAX} ms`);
      else resolve(code === 0 ? undefined : `hook ${file}: ${signal ?? `exit code ${code}`}`);
    });
  });
  clearTimeout(timer);
  return fault;
}
