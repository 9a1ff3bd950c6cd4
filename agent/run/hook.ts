// Runs the command that a service has instead of a process, at each switch, with a time limit.
import { type ServiceCommand, spawnLogged } from "./spawn-logged.ts";

/** A hook restarts or reloads something; five minutes is more than systemd gives a unit (90 s). */
const HOOK_MS_MAX = 300_000;

/** Runs it to its end; what went wrong, or undefined. */
export async function runHook(command: ServiceCommand): Promise<string | undefined> {
  const [file] = command.argv;
  const child = spawnLogged(command);
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
