// The open rollouts of a simulated leader, as controlplane/rollouts/rollout-engine.ts has them: takes up what is written
// down, and sees to it that of each service one runs and the others wait, or give way to a newer one.
import { settledRelease } from "../../core/rollout/assignment-rules.ts";
import { OpenTurns } from "../../core/rollout/open-turns.ts";
import { ACTIVE_PREFIX, activeKey, WAITING_PREFIX } from "../../core/rollout/service-turns.ts";
import type { Rule } from "./messages.ts";
import { assignmentsKey, type RolloutRecord, rolloutKey, rulesOf } from "./rollout-record.ts";
import { RolloutRunner } from "./rollout-runner.ts";
import type { StoreEvent } from "./store-model.ts";
import { READ_RETRY_MS, type TermHost } from "./term-host.ts";

export class OpenRollouts {
  readonly #host: TermHost;
  readonly #open = new Map<string, RolloutRunner>();
  readonly #turns = new OpenTurns();

  constructor(host: TermHost) {
    this.#host = host;
  }

  get all(): readonly RolloutRunner[] {
    return [...this.#open.values()];
  }

  get(id: string): RolloutRunner | undefined {
    return this.#open.get(id);
  }

  /** Takes up what is open, and what begins from now on. */
  begin(open: readonly string[]): void {
    for (const prefix of [ACTIVE_PREFIX, WAITING_PREFIX]) this.#follow(prefix);
    for (const id of open) this.#openRollout(id);
  }

  stop(): void {
    for (const rollout of this.#open.values()) rollout.stop();
  }

  #follow(prefix: string): void {
    const end = this.#host.store.watch(
      prefix,
      (events: readonly StoreEvent[]) => {
        if (this.#host.isStopped) return end();
        for (const { type, entry } of events) {
          if (type === "put") this.#openRollout(entry.value as string);
        }
      },
      () => {
        if (this.#host.isStopped) return;
        this.#readOpen(prefix);
      },
    );
  }

  #readOpen(prefix: string): void {
    this.#host.store.read(
      (model) => model.range(prefix),
      (answer) => {
        if (this.#host.isStopped) return;
        if (answer.kind !== "answered") {
          this.#host.process.after(READ_RETRY_MS, () => this.#readOpen(prefix));
          return;
        }
        for (const { value } of answer.value) this.#openRollout(value as string);
      },
    );
  }

  /** Takes up a rollout that is written down; one that is open already stays as it is. */
  #openRollout(id: string): void {
    const { moment } = this.#turns;
    this.#host.store.get(rolloutKey(id), (answer) => {
      if (this.#host.isStopped) return;
      if (answer.kind !== "answered") {
        this.#host.process.after(READ_RETRY_MS, () => this.#openRollout(id));
        return;
      }
      const record = answer.value?.value as RolloutRecord | undefined;
      const opening = this.#turns.read(record, moment);
      if (opening.kind === "read-again") return this.#openRollout(id);
      if (record === undefined || opening.kind === "nothing") return;
      this.#run(record);
      for (const other of opening.superseded) this.#open.get(other)?.input({ kind: "superseded" });
      this.#turn(record.service);
    });
  }

  #run(record: RolloutRecord): RolloutRunner {
    const runner = new RolloutRunner(this.#host, record, () => {
      this.#open.delete(record.id);
      this.#turns.ended(record.id);
      this.#turn(record.service);
    });
    this.#open.set(record.id, runner);
    this.#host.need(record.release);
    runner.start();
    return runner;
  }

  /** Starts the rollout whose turn it is, with what it would go back to as of now. */
  #turn(service: string): void {
    this.#host.store.read(
      (model) => ({
        active: model.get(activeKey(service))?.value as string | undefined,
        rules: rulesOf(model.get(assignmentsKey(service))),
      }),
      (answer) => {
        if (this.#host.isStopped) return;
        if (answer.kind !== "answered") {
          this.#host.process.after(READ_RETRY_MS, () => this.#turn(service));
          return;
        }
        const { active, rules } = answer.value;
        if (this.#turns.letIn(active)) this.#letIn(this.#open.get(active), rules);
      },
    );
  }

  #letIn(waiting: RolloutRunner | undefined, rules: readonly Rule[]): void {
    if (waiting === undefined) return;
    const { id, excludedRegions, policy } = waiting.record;
    const previous = settledRelease(rules, { targets: policy.targets, excludedRegions });
    waiting.whenFlushed(() => {
      if (this.#open.get(id) !== waiting || this.#host.isStopped) return;
      waiting.stop();
      this.#run({ ...waiting.record, previous }).input({ kind: "turn-came" });
    });
  }
}
