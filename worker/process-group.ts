// A build's command in a process group of its own, and the certainty that nothing of it is left when it
// has ended, was cancelled or took too long. The group is written down before the command begins, so
// that the next start of a killed worker ends what the last one left.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Writable } from "node:stream";
import { failpoint } from "../runtime/failpoint.ts";
import { pause } from "../runtime/program/back-off.ts";
import { readJson, writeJson } from "../runtime/program/json-file.ts";
import { isSameProcess, processStartTime } from "../runtime/program/process-start.ts";
import { livingMembers, type Members, signalMembers } from "./process-members.ts";

/** Between SIGTERM and SIGKILL. */
const TERM_MS = 2_000;

/** A process survives SIGKILL so long only where the kernel is stuck in it, as on a dead disk. */
const KILL_MS_MAX = 30_000;

/** How often the group is looked at while it ends. */
const LOOK_MS = 20;

/** Waits for a line on fd 3, then becomes the command; ends where the worker died before. */
const GATE = 'read -r go <&3 && exec 3<&- && exec "$@"';

export interface GroupCommand {
  readonly argv: readonly [string, ...string[]];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  /** Open file that takes stdout and stderr. */
  readonly output: number;
  /** Where the group is written down while it runs. */
  readonly record: string;
  /** "NAME=value", a part of `env` that no other command has. */
  readonly mark: string;
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

/** Runs a command and resolves when every process of it has ended. */
export async function runGroup(
  command: GroupCommand,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<GroupEnd> {
  if (signal.aborted) return { kind: "aborted" };
  const child = spawn("/bin/sh", ["-c", GATE, "sh", ...command.argv], {
    cwd: command.cwd,
    env: command.env,
    detached: true,
    stdio: ["ignore", command.output, command.output, "pipe"],
  });
  const end = endOf(child, timeoutMs, signal);
  await once(child, "spawn");
  const pid = child.pid as number;
  writeJson(command.record, { pid, startTime: processStartTime(pid) ?? 0 });
  const gate = child.stdio[3] as Writable;
  // A command that is ended at once does not read it.
  gate.on("error", () => {});
  gate.end("go\n");
  failpoint("worker.mid-run");
  const { kind } = await end;
  const wasCut = kind === "timed-out" || kind === "aborted";
  await endMembers({ group: pid, mark: command.mark }, wasCut);
  rmSync(command.record, { force: true });
  return end;
}

/** Ends what a killed worker left; `folder` holds the records of its groups, `mark` is in all of it. */
export async function endLeftProcesses(folder: string, mark: string): Promise<void> {
  for (const name of readdirSync(folder)) {
    const path = join(folder, name);
    const record = readRecord(path);
    // A group whose leader has gone may be somebody else's by now: only the mark tells then.
    const leads = record !== undefined && isSameProcess(record.pid, record.startTime);
    await endMembers({ group: leads ? record.pid : undefined, mark }, false);
    rmSync(path, { force: true });
  }
  await endMembers({ group: undefined, mark }, false);
}

function readRecord(path: string): GroupRecord | undefined {
  try {
    return readJson<GroupRecord>(path);
  } catch {
    return undefined;
  }
}

function endOf(child: ChildProcess, timeoutMs: number, signal: AbortSignal): Promise<GroupEnd> {
  return new Promise((resolve) => {
    const done = (end: GroupEnd): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
      resolve(end);
    };
    const onAbort = (): void => done({ kind: "aborted" });
    const timer = setTimeout(() => done({ kind: "timed-out" }), timeoutMs);
    signal.addEventListener("abort", onAbort, { once: true });
    child.once("exit", (code, name) =>
      done(
        name === null ? { kind: "exited", code: code ?? 0 } : { kind: "signalled", signal: name },
      ),
    );
  });
}

/** Ends every process: politely first where asked, then for certain. */
async function endMembers(members: Members, politely: boolean): Promise<void> {
  if (politely) {
    signalMembers(members, "SIGTERM");
    const until = performance.now() + TERM_MS;
    while (performance.now() < until && livingMembers(members).length > 0) await pause(LOOK_MS);
  }
  const until = performance.now() + KILL_MS_MAX;
  for (let left = livingMembers(members); left.length > 0; left = livingMembers(members)) {
    if (performance.now() > until) {
      throw new Error(
        `processes ${left.join(", ")} did not end ${KILL_MS_MAX / 1_000} s after SIGKILL`,
      );
    }
    signalMembers(members, "SIGKILL");
    await pause(LOOK_MS);
  }
}
