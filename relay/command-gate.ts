// Which of the control plane's words a relay may obey: only those of a leader whose heartbeat is
// younger than its time to live, and never of an epoch below the highest it has seen, also before a
// restart. It carries none of them out.
import { join } from "node:path";
import type { Instant } from "../core/machine.ts";
import type { ConnectRelayResponse, LeaderHeartbeat } from "../proto/gen/millrace/v1/fleet.ts";
import { readJson, writeJson } from "../runtime/program/json-file.ts";

type Command = NonNullable<ConnectRelayResponse["command"]>;

/** Keeps the highest epoch and the leader's time. */
export class CommandGate {
  readonly #path: string;
  #epoch: number;
  #ledUntil: Instant = Number.NEGATIVE_INFINITY;
  #refused = 0;

  /** Reads the highest epoch from `<root>/epoch.json`. */
  constructor(root: string) {
    this.#path = join(root, "epoch.json");
    this.#epoch = readJson<{ epoch: number }>(this.#path)?.epoch ?? 0;
  }

  /** Highest epoch seen. */
  get epoch(): number {
    return this.#epoch;
  }

  /** Commands refused because their epoch was too low. */
  get refused(): number {
    return this.#refused;
  }

  /** Until when the leader is known to live. */
  get ledUntil(): Instant {
    return this.#ledUntil;
  }

  isLed(now: Instant): boolean {
    return now < this.#ledUntil;
  }

  /** Takes a heartbeat; false: its epoch is too low, and its stream is to be left. */
  hear(now: Instant, { epoch, ttlMs }: LeaderHeartbeat): boolean {
    if (!this.#admit(epoch)) return false;
    this.#ledUntil = now + ttlMs;
    return true;
  }

  /** Whether a command may be obeyed by its epoch; those without one go by their stream's heartbeat. */
  accepts(command: Command): boolean {
    const epoch = epochOf(command);
    return epoch === undefined || this.#admit(epoch);
  }

  #admit(epoch: number): boolean {
    if (epoch < this.#epoch) {
      this.#refused += 1;
      return false;
    }
    if (epoch > this.#epoch) {
      // Durable before anything is done under it, so that a restart refuses what this run would.
      writeJson(this.#path, { epoch });
      this.#epoch = epoch;
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
