// A service's process: started in a session of its own, so that neither the agent's end nor its
// terminal touches it; known by pid and start time; found again by its environment after a crash.
// When it is started and ended is the machine's decision.
import { readdirSync, readFileSync } from "node:fs";
import { pause } from "../../runtime/program/back-off.ts";
import { isSameProcess, processStartTime } from "../../runtime/program/process-start.ts";
import { type ServiceCommand, spawnLogged } from "./spawn-logged.ts";

/** Between two looks at a process that is not our child, or that is ending. */
const LOOK_MS = 500;
const END_LOOK_MS = 20;
/** Field 6 of /proc/<pid>/stat, counted from behind the name: the session. */
const SESSION_FIELD = 3;

export interface ServiceProcess {
  readonly pid: number;
  readonly startTime: number;
  /** 0: it was given none. */
  readonly port: number;
}

/** Starts a process and calls `ended` once it has; rejects where it cannot be started. */
export async function startProcess(
  command: ServiceCommand,
  ended: (process: ServiceProcess, detail: string) => void,
): Promise<ServiceProcess> {
  const child = spawnLogged(command);
  await new Promise<void>((resolve, reject) => {
    child.once("spawn", resolve);
    child.once("error", (error) => {
      const [file] = command.argv;
      reject(new Error(`cannot start ${JSON.stringify(file)} in ${command.cwd}: ${error.message}`));
    });
  });
  const pid = child.pid as number;
  const started = { pid, startTime: processStartTime(pid) ?? 0, port: command.port };
  child.once("exit", (code, signal) => {
    ended(started, signal === null ? `exited with code ${code}` : `was ended by ${signal}`);
  });
  child.unref();
  return started;
}

export function isAlive({ pid, startTime }: ServiceProcess): boolean {
  return isSameProcess(pid, startTime);
}

/** Calls `ended` once a process that is not our child is gone; returns how to stop looking. */
export function watchProcess(process: ServiceProcess, ended: (detail: string) => void): () => void {
  const timer = setInterval(() => {
    if (isAlive(process)) return;
    clearInterval(timer);
    ended("ended while it was not a child of this agent, its exit code is unknown");
  }, LOOK_MS);
  return () => clearInterval(timer);
}

/** SIGTERM, then after `drainMs` SIGKILL, to the whole group; resolves when the process is gone. */
export async function endProcess(process: ServiceProcess, drainMs: number): Promise<void> {
  if (isAlive(process)) signalGroup(process.pid, "SIGTERM");
  const giveUpAt = performance.now() + drainMs;
  while (isAlive(process) && performance.now() < giveUpAt) await pause(END_LOOK_MS);
  // Whatever it left in its group goes too: the kernel gives no pid out again that names a group.
  if (processStartTime(process.pid) === undefined || isAlive(process)) {
    signalGroup(process.pid, "SIGKILL");
  }
  while (isAlive(process)) await pause(END_LOOK_MS);
}

/** Session leaders whose environment names this agent and service, by release, oldest first. */
export function findProcesses(agentId: string, service: string): Map<string, ServiceProcess> {
  const found = new Map<string, ServiceProcess>();
  for (const name of readdirSync("/proc")) {
    const pid = Number(name);
    if (!Number.isInteger(pid) || sessionOf(pid) !== pid) continue;
    const env = environmentOf(pid);
    if (env.get("MILLRACE_AGENT") !== agentId || env.get("MILLRACE_SERVICE") !== service) continue;
    const release = env.get("MILLRACE_RELEASE");
    const startTime = processStartTime(pid);
    if (release === undefined || startTime === undefined) continue;
    const known = found.get(release);
    if (known !== undefined && known.startTime <= startTime) continue;
    found.set(release, { pid, startTime, port: Number(env.get("PORT") ?? 0) });
  }
  return found;
}

function signalGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

function sessionOf(pid: number): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[SESSION_FIELD]);
  } catch {
    return undefined;
  }
}

function environmentOf(pid: number): Map<string, string> {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/environ`, "utf8");
  } catch {
    return new Map();
  }
  return new Map(
    text.split("\0").flatMap((pair): [string, string][] => {
      const at = pair.indexOf("=");
      return at <= 0 ? [] : [[pair.slice(0, at), pair.slice(at + 1)]];
    }),
  );
}
