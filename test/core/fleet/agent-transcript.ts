// Plays a transcript to the machine of one service: lines at the margin are facts, indented lines the
// commands that must follow, all of them and in that order. Writes of the journal are shown by name only.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Assignment, Effect, Input } from "../../../core/fleet/agent-facts.ts";
import { EMPTY_JOURNAL, type Journal } from "../../../core/fleet/agent-journal.ts";
import { ServiceMachine } from "../../../core/fleet/agent-machine.ts";
import type { Runnable, Way } from "../../../core/fleet/runnable.ts";
import { WAVE_HASH_END } from "../../../core/rollout/wave-hash.ts";

export const CANDIDATE = { agentId: "agent-1", region: "eu", labels: { role: "web" } };

const FREE: Way = { kind: "process", port: 0 };

/** Runs one transcript as a test. */
export function check(name: string, transcript: string): void {
  test(name, () => {
    const player = new Player();
    let expected: string[] = [];
    let shown: string[] = [];
    let fact = "";
    for (const line of [...transcript.split("\n"), "end"]) {
      if (line.trim() === "") continue;
      if (line.trim().startsWith("#")) continue;
      if (line.startsWith("  ")) {
        expected.push(line.trim());
        continue;
      }
      assert.deepEqual(shown, expected, `after "${fact}"`);
      fact = line;
      expected = [];
      shown = line === "end" ? [] : player.play(line);
    }
  });
}

class Player {
  #machine = new ServiceMachine({ candidate: CANDIDATE, keepReleases: 3 });
  #journal: Journal = EMPTY_JOURNAL;
  #way: Way = FREE;
  #now = 0;
  #number = 0;
  #revision = 0;

  play(line: string): string[] {
    const [word = "", ...rest] = line.split(" ");
    const input = this.#input(word, rest);
    if (input === undefined) return [];
    const effects: Effect[] = [];
    this.#machine.step(this.#now, input, effects);
    return effects.flatMap((effect) => this.#show(effect));
  }

  #input(word: string, rest: string[]): Input | undefined {
    const [first = "", second = ""] = rest;
    const options = new Map(
      rest.filter((part) => part.includes("=")).map((part) => part.split("=") as [string, string]),
    );
    const list = (key: string) => (options.get(key) ?? "").split(",").filter((item) => item !== "");
    const text = rest.slice(1).join(" ");
    switch (word) {
      case "way":
        this.#way =
          first === "hook"
            ? { kind: "hook" }
            : { kind: "process", port: first === "fixed" ? 80 : 0 };
        return undefined;
      case "crash":
        this.#machine = new ServiceMachine({
          candidate: CANDIDATE,
          journal: this.#journal,
          keepReleases: 3,
        });
        return undefined;
      case "boot": {
        const findings = {
          onDisk: list("disk"),
          running: list("running"),
          pointed: options.get("pointed"),
        };
        return { kind: "booted", findings };
      }
      case "assign": {
        this.#revision = Number(options.get("revision") ?? this.#revision + 1);
        const epoch = Number(options.get("epoch") ?? 1);
        const assignments = [this.#assignment(rest, options)];
        return { kind: "assigned", orders: { epoch, revision: this.#revision, assignments } };
      }
      case "permit": {
        const epoch = Number(options.get("epoch") ?? 1);
        const id = options.get("id") ?? `p-${first}`;
        const release = second === "nothing" ? "" : second;
        return {
          kind: "permitted",
          permit: { id, rollout: first, epoch, wave: 0, ttlMs: 5000, release },
        };
      }
      case "staging":
        return { kind: "staging", release: first, phase: second as "fetch" };
      case "staged":
        return { kind: "staged", release: first };
      case "staging-failed":
        return { kind: "staging-failed", release: first, error: text, hopeless: text === "wrong" };
      case "ok":
        return { kind: "performed", number: this.#number };
      case "fail":
        return { kind: "performed", number: this.#number, error: rest.join(" ") };
      case "exit":
        return { kind: "exited", release: first, detail: text };
      case "probe":
        return { kind: "probed", release: first, healthy: second === "healthy" };
      case "at":
        this.#now = Number(first);
        return { kind: "wake" };
      default:
        throw new Error(`no such fact: ${word}`);
    }
  }

  #assignment(rest: string[], options: Map<string, string>): Assignment {
    const [rollout = "", release = "", phase = ""] = rest;
    const runnable = (id: string | undefined): Runnable | undefined =>
      id === undefined || id === "nothing" ? undefined : { release: id, way: this.#way };
    return {
      rollout,
      release: runnable(release),
      fallback: runnable(options.get("fallback")),
      targets: { labels: { role: options.get("role") ?? "web" }, excludedRegions: [] },
      phase: phase as "open",
      waves: rest.includes("no-wave")
        ? []
        : [{ threshold: WAVE_HASH_END, regions: [], labels: {} }],
      paused: rest.includes("paused"),
      keep: 0,
    };
  }

  #show(effect: Effect): string[] {
    switch (effect.kind) {
      case "persist":
        this.#journal = effect.journal;
        return ["persist"];
      case "perform": {
        this.#number = effect.number;
        const { step } = effect;
        if (step.do === "hand-over") return [`hand-over ${step.from} ${step.to}`];
        return [`${step.do} ${step.release ?? "nothing"}`];
      }
      case "repoint":
      case "watch":
        return [`${effect.kind} ${effect.release ?? "nothing"}`];
      case "collect":
        return [`keep ${[...effect.keep].join(" ")}`.trim()];
      case "report": {
        const { phase, release, running, error, healthy } = effect.status;
        const words = [phase, release || "nothing", `runs=${running || "nothing"}`];
        if (healthy) words.push("healthy");
        return [`report ${words.join(" ")}${error === "" ? "" : `: ${error}`}`];
      }
      case "refuse":
        return [`refuse ${effect.isOld ? "as old: " : ""}${effect.reason}`];
      case "refuse-orders":
        return [`refuse orders of ${effect.orders.epoch}, ${effect.orders.revision}`];
      default:
        return [`${effect.kind} ${effect.release}`];
    }
  }
}
