// One open rollout at the leader: runs the real machine, writes what it decides and only then sends it, as
// controlplane/rollouts/open-rollout.ts does.
import { missingRegions } from "../../core/fleet/replicas.ts";
import { isFinal } from "../../core/rollout/lifecycle.ts";
import { Rollout } from "../../core/rollout/rollout.ts";
import { batchOf, isWritten, type RolloutBatch } from "../../core/rollout/rollout-batch.ts";
import type { RolloutEffect, RolloutInput } from "../../core/rollout/rollout-facts.ts";
import { Stepper } from "./process.ts";
import {
  type CommitReads,
  commitChange,
  planOf,
  type RolloutRecord,
  readForCommit,
  rulesOf,
} from "./rollout-record.ts";
import type { RelaySeat, TermHost } from "./term-host.ts";

/** A store that is away is asked again after so long. */
const STORE_RETRY_MS = 500;

export class RolloutRunner {
  readonly #term: TermHost;
  readonly #onEnded: () => void;
  readonly #machine: Rollout;
  readonly #stepper: Stepper<RolloutInput, RolloutEffect>;
  #record: RolloutRecord;
  #queue: RolloutEffect[] = [];
  #isPumping = false;
  #isStopped = false;
  #flushed: (() => void)[] = [];

  constructor(term: TermHost, record: RolloutRecord, onEnded: () => void) {
    this.#onEnded = onEnded;
    this.#term = term;
    this.#record = record;
    this.#machine = new Rollout(planOf(record), record.row, term.epoch);
    this.#stepper = new Stepper(term.process, `rollout ${record.id}`, this.#machine, (effect) =>
      this.#perform(effect),
    );
  }

  /** As last written down, with the machine's newest counts. */
  get record(): RolloutRecord {
    return { ...this.#record, row: this.#machine.row };
  }

  start(): void {
    const { excludedRegions } = this.#record;
    const known = this.#term.knownRelays.filter(({ region }) => !excludedRegions.includes(region));
    this.input({ kind: "started", relays: known.map(({ relay }) => relay) });
    for (const seat of this.#term.seats) this.relayJoined(seat);
    this.replicationChanged();
  }

  relayJoined({ relay, region, boot, settlesAt }: RelaySeat): void {
    const settleMs = Math.max(0, settlesAt - this.#term.process.now);
    this.input({ kind: "relay-joined", relay, region, boot, settleMs });
    this.replicationChanged();
  }

  replicationChanged(): void {
    const { excludedRegions, release } = this.#record;
    const all = new Set(this.#term.knownRelays.map(({ region }) => region));
    const regions = [...all].filter((region) => !excludedRegions.includes(region));
    const missing = missingRegions(this.#term.replicas, regions, [release.pack]);
    this.input({ kind: "replicated", missing });
  }

  input(fact: RolloutInput): void {
    if (!this.#isStopped) this.#stepper.input(fact);
  }

  /** Calls back when all that was decided is written down. */
  whenFlushed(done: () => void): void {
    if (this.#isPumping) this.#flushed.push(done);
    else done();
  }

  stop(): void {
    this.#isStopped = true;
    this.#stepper.stop();
  }

  #perform(effect: RolloutEffect): void {
    this.#queue.push(effect);
    if (this.#isPumping) return;
    this.#isPumping = true;
    this.#term.process.after(0, () => this.#pump());
  }

  #pump(): void {
    if (this.#isStopped) return;
    if (this.#queue.length === 0) {
      this.#isPumping = false;
      for (const done of this.#flushed.splice(0)) done();
      return;
    }
    const { pace, process } = this.#term;
    const waitMs = this.#queue.some(isWritten) ? pace.turn(process.now) - process.now : 0;
    process.after(waitMs, () => {
      if (this.#isStopped) return;
      const batch = batchOf(this.#queue);
      this.#queue = [];
      if (batch.row !== undefined) this.#record = { ...this.#record, row: batch.row };
      if (batch.isWritten) this.#commit(batch);
      else this.#send(batch);
    });
  }

  /** `isAgain`: an earlier try may have been committed without an answer. */
  #commit(batch: RolloutBatch, isAgain = false): void {
    const { store, process } = this.#term;
    const again = (): void => process.after(STORE_RETRY_MS, () => this.#commit(batch, true));
    if (this.#isStopped) return;
    store.read(
      (model) => readForCommit(model, this.#record),
      (reads) => {
        if (reads.kind === "answered") this.#write(batch, reads.value, isAgain, again);
        else again();
      },
    );
  }

  #write(batch: RolloutBatch, reads: CommitReads, isAgain: boolean, again: () => void): void {
    if (this.#isStopped) return;
    const { store, fence, epoch } = this.#term;
    const { service } = this.#record;
    const known = reads.assignments?.modRevision ?? 0;
    const written = reads.row?.value as RolloutRecord | undefined;
    // An end that is written is not written again: another may have its turn by now, and the assignments are that one's.
    if (written !== undefined && isFinal(written.row.state)) {
      const rules = rulesOf(reads.assignments);
      this.#term.assign({ service, epoch, revision: known, rules });
      this.#send(batch);
      return;
    }
    if (!this.#term.reach("before-txn")) return;
    const { change, rules, isChanged } = commitChange(fence, this.#record, batch.phases, reads);
    store.transact({ ...change, by: epoch }, (answer) => {
      if (this.#isStopped) return;
      // Written twice is written once: nobody else writes these rows under this epoch.
      if (answer.kind !== "answered") return again();
      if (!answer.value.committed) {
        if (this.#term.isFenced(answer.value.current[0])) this.#term.lose();
        else this.#commit(batch, isAgain);
        return;
      }
      if (!this.#term.reach("after-txn")) return;
      const revision = isChanged ? answer.value.revision : known;
      const isNews = isChanged || (isAgain && batch.phases.length > 0);
      if (isNews) this.#term.assign({ service, epoch, revision, rules });
      if (batch.serial !== undefined) {
        this.input({ kind: "assigned", serial: batch.serial, revision });
      }
      this.#send(batch);
    });
  }

  #send({ sends, hasEnded }: RolloutBatch): void {
    const { id, policy } = this.#record;
    const { epoch } = this.#term;
    for (const effect of sends) {
      if (!this.#term.reach("before-send")) return;
      if (effect.kind === "grant") {
        const { relay, wave, quota, together, ttlMs } = effect;
        this.#term.send(relay, { kind: "quota", rollout: id, epoch, wave, quota, together, ttlMs });
      } else {
        const { query, wave, low, high } = effect;
        const { regions = [], labels = {} } = policy.waves[wave] ?? {};
        const rule = { regions, labels };
        const asked = { rollout: id, low, high, targets: policy.targets, rule };
        for (const relay of effect.relays) this.#term.send(relay, { kind: "count", query, asked });
      }
    }
    if (sends.length > 0 && !this.#term.reach("after-send")) return;
    if (hasEnded) {
      this.stop();
      this.#isPumping = false;
      this.#onEnded();
      return;
    }
    this.#pump();
  }
}
