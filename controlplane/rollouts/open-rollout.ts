// One open rollout in this process: runs its machine, writes down what it decides, and only then sends
// it. It decides nothing; who of a service comes next is the engine's business.
import { setTimeout as sleep } from "node:timers/promises";
import type { Span } from "@opentelemetry/api";
import { missingRegions } from "../../core/fleet/replicas.ts";
import type { Instant } from "../../core/machine.ts";
import { isFinal } from "../../core/rollout/lifecycle.ts";
import { Rollout } from "../../core/rollout/rollout.ts";
import { batchOf, isWritten, type RolloutBatch } from "../../core/rollout/rollout-batch.ts";
import type { RolloutEffect, RolloutInput } from "../../core/rollout/rollout-facts.ts";
import type { WritePace } from "../../core/rollout/write-pace.ts";
import { Driver } from "../../runtime/driver.ts";
import { failpoint } from "../../runtime/failpoint.ts";
import type { Log } from "../../runtime/log.ts";
import type { Store } from "../../runtime/store/store.ts";
import {
  StoreUnavailableError,
  StoreUnknownOutcomeError,
} from "../../runtime/store/store-errors.ts";
import { openSpan } from "../../runtime/telemetry.ts";
import type { Fence } from "../fence.ts";
import type { Fleet } from "../fleet/fleet.ts";
import type { RelaySession } from "../fleet/relay-hub.ts";
import { LiveProgress } from "./live-progress.ts";
import { type Committed, commitRollout } from "./rollout-commit.ts";
import { planOf, type RolloutRecord } from "./rollout-record.ts";

/** A store that is away is asked again after so long. */
const STORE_RETRY_MS = 500;

export interface OpenRolloutOptions {
  readonly store: Store;
  /** Shared by all rollouts of the leader. */
  readonly pace: WritePace;
  readonly fence: Fence;
  readonly fleet: Fleet;
  readonly log: Log;
  readonly now: () => Instant;
  /** Something that can be seen has changed. */
  readonly onChange: (id: string) => void;
  /** It is written down as ended. */
  readonly onEnded: (ended: OpenRollout) => void;
  /** It cannot go on: another leader is there, or something is broken. */
  readonly onBroken: (error: unknown) => void;
}

export class OpenRollout {
  readonly progress: LiveProgress;
  readonly #options: OpenRolloutOptions;
  readonly #machine: Rollout;
  readonly #driver: Driver<RolloutInput, RolloutEffect>;
  readonly #span: Span;
  #record: RolloutRecord;
  #queue: RolloutEffect[] = [];
  #pumping: Promise<void> | undefined;
  #isStopped = false;

  constructor(options: OpenRolloutOptions, record: RolloutRecord) {
    this.#options = options;
    this.#record = record;
    this.progress = new LiveProgress();
    this.#machine = new Rollout(planOf(record), record.row, options.fence.epoch);
    this.#span = openSpan("rollout", {
      parent: record.traceparent,
      attributes: { "millrace.rollout": record.id, "millrace.service": record.service },
    });
    this.#driver = new Driver(this.#machine, {
      now: options.now,
      perform: (effect) => this.#perform(effect),
    });
  }

  /** As last written down, with the machine's newest counts. */
  get record(): RolloutRecord {
    return { ...this.#record, row: this.#machine.row };
  }

  /** Takes it up: relays that are known and not connected are waited for a while. */
  start(): void {
    const { hub } = this.#options.fleet;
    const { excludedRegions } = this.#record;
    const known = hub.known.filter(({ region }) => !excludedRegions.includes(region));
    this.#driver.input({ kind: "started", relays: known.map(({ relay }) => relay) });
    for (const session of hub.sessions) this.relayJoined(session);
    this.replicationChanged();
  }

  /** A relay is connected. */
  relayJoined({ relay, region, boot, settlesAt }: RelaySession): void {
    const settleMs = Math.max(0, settlesAt - this.#options.now());
    this.input({ kind: "relay-joined", relay, region, boot, settleMs });
    this.replicationChanged();
  }

  /** Hands the machine a fact. */
  input(fact: RolloutInput): void {
    if (!this.#isStopped) this.#driver.input(fact);
  }

  /** Looks at which regions hold all packs of the release. */
  replicationChanged(): void {
    const { hub, tracker } = this.#options.fleet;
    const { release, excludedRegions } = this.#record;
    const regions = [...new Set(hub.known.map(({ region }) => region))].filter(
      (region) => !excludedRegions.includes(region),
    );
    const packs = (release.layout?.packs ?? []).map(({ pack }) => pack);
    this.input({ kind: "replicated", missing: missingRegions(tracker, regions, packs) });
  }

  /** Resolves when all that was decided is written down. */
  async flushed(): Promise<void> {
    while (this.#pumping !== undefined) await this.#pumping;
  }

  /** Ends it in this process; another leader goes on. */
  stop(): void {
    this.#isStopped = true;
    this.#driver.stop();
    this.#span.end();
  }

  #perform(effect: RolloutEffect): void {
    this.#queue.push(effect);
    this.#pumping ??= this.#pump().finally(() => {
      this.#pumping = undefined;
    });
  }

  async #pump(): Promise<void> {
    try {
      // The step that gave the first effect ends before anything is written.
      await Promise.resolve();
      while (this.#queue.length > 0 && !this.#isStopped) {
        if (this.#queue.some(isWritten)) await this.#turn();
        const batch = this.#queue;
        this.#queue = [];
        await this.#carryOut(batchOf(batch));
      }
    } catch (error) {
      this.stop();
      this.#options.onBroken(error);
    }
  }

  /** What is decided until then is written with it. */
  async #turn(): Promise<void> {
    const { pace, now } = this.#options;
    const waitMs = pace.turn(now()) - now();
    if (waitMs > 0) await sleep(waitMs);
  }

  /** Writes, then sends. */
  async #carryOut({
    isWritten,
    row,
    phases,
    serial,
    sends,
    hasEnded,
  }: RolloutBatch): Promise<void> {
    const { fleet, onChange, onEnded } = this.#options;
    let committed: Committed | undefined;
    if (isWritten) {
      this.#record = this.#renewed(row ?? this.#record.row);
      committed = await this.#commit(phases);
      if (committed === undefined) return;
    }
    if (committed?.assignments !== undefined) fleet.hub.assign(committed.assignments);
    if (committed !== undefined && serial !== undefined) {
      this.input({ kind: "assigned", serial, revision: committed.revision });
    }
    for (const effect of sends) this.#send(effect);
    onChange(this.#record.id);
    if (!hasEnded) return;
    this.#span.setAttribute("millrace.rollout.state", this.#record.row.state);
    this.stop();
    onEnded(this);
  }

  #renewed(row: RolloutRecord["row"]): RolloutRecord {
    const { fleet } = this.#options;
    const updatedAtMs = Date.now();
    const record = { ...this.#record, row, updatedAtMs };
    if (!isFinal(row.state)) return record;
    const regions = this.progress.regions(record, fleet.hub, fleet.tracker);
    return { ...record, endedAtMs: updatedAtMs, regions, failing: this.progress.failing() };
  }

  /** Undefined: it was stopped before the store came back. */
  async #commit(phases: Parameters<typeof commitRollout>[3]): Promise<Committed | undefined> {
    const { store, fence, log } = this.#options;
    for (let isAgain = false; !this.#isStopped; isAgain = true) {
      try {
        return await commitRollout(store, fence, this.#record, phases, isAgain);
      } catch (error) {
        // Written twice is written once: nobody else writes these rows under this epoch.
        const isPassing =
          error instanceof StoreUnavailableError || error instanceof StoreUnknownOutcomeError;
        if (!isPassing) throw error;
        log.warn({ err: error, rollout: this.#record.id }, "store is away; trying again");
        await sleep(STORE_RETRY_MS);
      }
    }
    return undefined;
  }

  #send(effect: RolloutBatch["sends"][number]): void {
    const { fleet, fence } = this.#options;
    const { id, policy } = this.#record;
    if (effect.kind === "grant") {
      const { relay, wave, quota, together, ttlMs } = effect;
      failpoint("controlplane.before-send");
      const wire = { rollout: id, epoch: fence.epoch, wave, quota, together, ttlMs };
      fleet.hub.send(relay, { $case: "quota", quota: wire });
      failpoint("controlplane.after-send");
    } else {
      const { query, wave, low, high } = effect;
      const { regions = [], labels = {} } = policy.waves[wave] ?? {};
      const rule = { threshold: high, regions, labels };
      const census = { rollout: id, wave, low, high, targets: policy.targets, rule, query };
      for (const relay of effect.relays) fleet.hub.send(relay, { $case: "census", census });
    }
  }
}
