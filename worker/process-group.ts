// A build's command in a process group of its own, and the certainty that nothing of it is left when it
// has ended, was cancelled or took too long. The group is written down, so that the next start of a
// killed worker ends what the last one left.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { pause } from "../runtime/program/back-off.ts";
import { readJson, writeJson } from "../runtime/program/json-file.ts";
import { isSameProcess, processStartTime } from "../runtime/program/process-start.ts";

/** Between SIGTERM and SIGKILL. */
const TERM_MS = 3_000;

/** How often the group is looked at while it ends. */
const LOOK_MS = 20;

export interface GroupCommand {
  readonly argv: readonly [string, ...string[]];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  /** Open file that takes stdout and stderr. */
  readonly output: number;
  /** Where the group is written down while it runs. */
  readonly record: string;
}

export type GroupEnd =
  | { readonly kind: "exited"; readonly code: number }
  | { readonly kind: "signalled"; readonly signal: string }
  | { readonly kind: "timed-out" }
  | { readonly kind: "aborted" };

interface GroupRecord {
  readonly pid: number;
  readonly startTime: number;
}

/** Runs a command and resolves when every process of its group has ended. */
export async function runGroup(
  command: GroupCommand,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<GroupEnd> {
  if (signal.aborted) return { kind: "aborted" };
  const [file, ...args] = command.argv;
  const child = spawn(file, args, {
    cwd: command.cwd,
    env: command.env,
    detached: true,
    stdio: ["ignore", command.output, command.output],
  });
  await once(child, "spawn");
  const pid = child.pid as number;
  writeJson(command.record, { pid, startTime: processStartTime(pid) ?? 0 });
  const cut = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
  const end = await exitOf(child, cut);
  await endGroup(pid, end === undefined);
  rmSync(command.record, { force: true });
  if (end !== undefined) return end;
  return signal.aborted ? { kind: "aborted" } : { kind: "timed-out" };
}

/** Ends the groups that a killed worker left; `folder` holds their records. */
export async function endLeftGroups(folder: string): Promise<void> {
  for (const name of readdirSync(folder)) {
    const path = join(folder, name);
    const record = readJson<GroupRecord>(path);
    // The leader may be gone while its children live on: then its pid can't have been reused, because
    // the kernel does not give out a pid that still names a process group.
    const leads = record !== undefined && isSameProcess(record.pid, record.startTime);
    if (record !== undefined && (leads || processStartTime(record.pid) === undefined)) {
      await endGroup(record.pid, false);
    }
    rmSync(path, { force: true });
  }
}

function exitOf(child: ChildProcess, cut: AbortSignal): Promise<GroupEnd | undefined> {
  return new Promise((resolve) => {
    const onCut = (): void => resolve(undefined);
    cut.addEventListener("abort", onCut, { once: true });
    child.once("exit", (code, signal) => {
      cut.removeEventListener("abort", onCut);
      resolve(
        signal === null ? { kind: "exited", code: code ?? 0 } : { kind: "signalled", signal },
      );
    });
  });
}

/** Ends every process of a group: politely first where asked, then for certain. */
async function endGroup(pgid: number, politely: boolean): Promise<void> {
  if (politely && sendToGroup(pgid, "SIGTERM")) {
    const until = performance.now() + TERM_MS;
    while (performance.now() < until && groupLives(pgid)) await pause(LOOK_MS);
  }
  while (groupLives(pgid)) {
    sendToGroup(pgid, "SIGKILL");
    await pause(LOOK_MS);
  }
}

function sendToGroup(pgid: number, signal: NodeJS.Signals): boolean {
  try {
    process.kill(-pgid, signal);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ESRCH") return false;
    throw error;
  }
}

/** Whether a process of the group is left that is not merely a zombie nobody has waited for. */
function groupLives(pgid: number): boolean {
  if (!sendToGroup(pgid, 0 as unknown as NodeJS.Signals)) return false;
  return readdirSync("/proc").some((name) => /^\d+$/.test(name) && isLiveMember(name, pgid));
}

function isLiveMember(pid: string, pgid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    const [state, , group] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return Number(group) === pgid && state !== "Z" && state !== "X";
  } catch {
    return false;
  }
}
