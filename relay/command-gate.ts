// The relay's gate for the control plane's words (core/leadership/leader-gate.ts) with its file: the highest epoch
// is on disk before anything is done under it. It carries no command out.
import { join } from "node:path";
import { LeaderGate } from "../core/leadership/leader-gate.ts";
import type { Instant } from "../core/machine.ts";
import type { ConnectRelayResponse, LeaderHeartbeat } from "../proto/gen/millrace/v1/fleet.ts";
import { readJson, writeJson } from "../runtime/program/json-file.ts";

type Command = NonNullable<ConnectRelayResponse["command"]>;

interface Kept {
  readonly epoch: number;
  readonly store: string;
}

/** Keeps the highest epoch and whose store it is of, and the leader's time. */
export class CommandGate {
  readonly #path: string;
  readonly #gate: LeaderGate;
  #store: string;
  #refused = 0;

  /** Reads the highest epoch, and whose it is, from `<root>/epoch.json`. */
  constructor(root: string) {
    this.#path = join(root, "epoch.json");
    const { epoch = 0, store = "" } = readJson<Partial<Kept>>(this.#path) ?? {};
    this.#gate = new LeaderGate(epoch);
    this.#store = store;
  }

  /** Highest epoch seen. */
  get epoch(): number {
    return this.#gate.epoch;
  }

  /** Name of the store whose leader was followed last; empty: none, or it has no name. */
  get store(): string {
    return this.#store;
  }

  /** Commands refused because their epoch was too low. */
  get refused(): number {
    return this.#refused;
  }

  /** Until when the leader is known to live. */
  get ledUntil(): Instant {
    return this.#gate.ledUntil;
  }

  isLed(now: Instant): boolean {
    return this.#gate.isLed(now);
  }

  /** Takes a heartbeat; false: its epoch is too low, and its stream is to be left. */
  hear(now: Instant, { epoch, ttlMs, store }: LeaderHeartbeat): boolean {
    if (!this.#admit(epoch, store || this.#store)) return false;
    this.#gate.heard(now, ttlMs);
    return true;
  }

  /** Whether a command may be obeyed by its epoch; those without one go by their stream's heartbeat. */
  accepts(command: Command): boolean {
    const epoch = epochOf(command);
    return epoch === undefined || this.#admit(epoch, this.#store);
  }

  #admit(epoch: number, store: string): boolean {
    const verdict = this.#gate.judge(epoch);
    if (verdict === "old") {
      this.#refused += 1;
      return false;
    }
    if (verdict === "new" || store !== this.#store) {
      writeJson(this.#path, { epoch, store } satisfies Kept);
      this.#gate.raise(epoch);
      this.#store = store;
    }
    return true;
  }
}

function epochOf(command: Command): number | undefined {
  switch (command.$case) {
    case "heartbeat":
      return command.heartbeat.epoch;
    case "assignments":
      return command.assignments.epoch;
    case "order":
      return command.order.epoch;
    case "quota":
      return command.quota.epoch;
    case "snapshotEnd":
      return command.snapshotEnd.epoch;
    case "orderEnded":
    case "pack":
    case "census":
    case "agents":
    case "uses":
    case "siblings":
    case "reconnect":
    case "recall":
      return undefined;
    default:
      return command satisfies never;
  }
}
