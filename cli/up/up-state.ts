// What `millrace up` keeps about the system below its root: which processes it started, so that the next
// start can end what a kill -9 left, and which ports they have, so that machines find their relays again.
import { existsSync, mkdirSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { readJson, writeJson } from "../../runtime/program/json-file.ts";
import { isSameProcess } from "../../runtime/program/process-start.ts";

/** A process of the system. */
export interface ChildRecord {
  readonly name: string;
  readonly pid: number;
  readonly startTime: number;
}

/** State of a system, in `<root>/up.json`. */
export interface UpState {
  readonly children: readonly ChildRecord[];
  /** Where each program listened: name -> flag -> host:port. */
  readonly addresses: Readonly<Record<string, Readonly<Record<string, string>>>>;
}

/** The system of this user that other commands find by default. */
export interface RunningUp {
  readonly address: string;
  readonly root: string;
  readonly pid: number;
  readonly startTime: number;
}

const EMPTY: UpState = { children: [], addresses: {} };

/** Reads the state of the system below `root`; empty where there is none yet. */
export function readUpState(root: string): UpState {
  return readJson<UpState>(join(root, "up.json")) ?? EMPTY;
}

/** Replaces the state of the system below `root`. */
export function writeUpState(root: string, state: UpState): void {
  writeJson(join(root, "up.json"), state);
}

/** Says to other commands of this user where this system listens. */
export function announceUp(running: RunningUp): void {
  const path = runningPath();
  mkdirSync(dirname(path), { recursive: true });
  writeJson(path, running);
}

/** The system of this user that runs now; undefined: none. */
export function runningUp(): RunningUp | undefined {
  const path = runningPath();
  if (!existsSync(path)) return undefined;
  const running = readJson<RunningUp>(path);
  if (running === undefined || !isSameProcess(running.pid, running.startTime)) return undefined;
  return running;
}

function runningPath(): string {
  return join(process.env["MILLRACE_HOME"] ?? join(homedir(), ".millrace"), "up.json");
}
