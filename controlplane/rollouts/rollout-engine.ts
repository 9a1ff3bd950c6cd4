// All open rollouts of this leader: loads them at start, hands them what relays say, and sees to it that
// of each service one runs and the others wait in order, or give way to a newer one.
import { settledRelease } from "../../core/rollout/assignment-rules.ts";
import { OpenTurns } from "../../core/rollout/open-turns.ts";
import {
  ACTIVE_PREFIX,
  activeKey,
  timeName,
  WAITING_PREFIX,
} from "../../core/rollout/service-turns.ts";
import { ROLLOUT_WRITES_PER_S, WritePace } from "../../core/rollout/write-pace.ts";
import type { CensusAnswer, RelayReport } from "../../proto/gen/millrace/v1/fleet.ts";
import { type Entry, scan, type Watch } from "../../runtime/store/store.ts";
import { counter, histogram } from "../../runtime/telemetry.ts";
import type { RelayListener, RelaySession } from "../fleet/relay-hub.ts";
import { assignmentsKey, parseAssignments, SERVICES_PREFIX, toWire } from "./assignment-list.ts";
import { type LiveProgress, tallyOf } from "./live-progress.ts";
import { OpenRollout, type OpenRolloutOptions } from "./open-rollout.ts";
import { parseRollout, type RolloutRecord, rolloutKey } from "./rollout-record.ts";

/** Ended rollouts whose live counts are still followed: agents go on saying what they got. */
const FOLLOWED_MAX = 50;

export interface RolloutEngineOptions
  extends Omit<OpenRolloutOptions, "onChange" | "onEnded" | "pace"> {
  /** Writes a second of all rollouts together; ROLLOUT_WRITES_PER_S unless given. */
  readonly writesPerS?: number;
}

export class RolloutEngine implements RelayListener {
  readonly #options: RolloutEngineOptions;
  readonly #open = new Map<string, OpenRollout>();
  readonly #followed = new Map<string, LiveProgress>();
  readonly #ends = counter("millrace.rollouts.ended", "Rollouts ended, by state", "{rollout}");
  readonly #took = histogram("millrace.rollout.duration", "From the beginning to the end");
  readonly #turns = new OpenTurns();
  readonly #watchers = new Set<(id: string) => void>();
  readonly #watches = new Set<Watch>();
  readonly #stopped = new AbortController();
  readonly #pace: WritePace;

  constructor(options: RolloutEngineOptions) {
    this.#options = options;
    this.#pace = new WritePace(options.writesPerS ?? ROLLOUT_WRITES_PER_S);
    options.fleet.hub.listen(this);
    options.fleet.onReplication(() => {
      for (const rollout of this.#open.values()) rollout.replicationChanged();
    });
  }

  /** Takes up what is open, under this leader's epoch. */
  async load(): Promise<void> {
    const { store, fence, fleet } = this.#options;
    for await (const entry of scan(store, SERVICES_PREFIX)) {
      const service = entry.key.slice(SERVICES_PREFIX.length).split("/")[0] as string;
      if (entry.key !== assignmentsKey(service)) continue;
      const list = parseAssignments(entry);
      fleet.hub.assign(toWire(service, list, fence.epoch, entry.modRevision));
    }
    for (const prefix of [ACTIVE_PREFIX, WAITING_PREFIX]) await this.#follow(prefix);
  }

  /** Open rollouts, newest first. */
  get all(): readonly OpenRollout[] {
    return [...this.#open.values()].sort((a, b) =>
      timeName(a.record) < timeName(b.record) ? 1 : -1,
    );
  }

  get(id: string): OpenRollout | undefined {
    return this.#open.get(id);
  }

  /** Live counts of a rollout, open or ended not long ago. */
  progress(id: string): LiveProgress | undefined {
    return this.#open.get(id)?.progress ?? this.#followed.get(id);
  }

  /** Calls back with the id of each rollout that changes; returns how to end that. */
  watch(changed: (id: string) => void): () => void {
    this.#watchers.add(changed);
    return () => void this.#watchers.delete(changed);
  }

  /** Takes up what is open, and what any replica begins from now on. */
  async #follow(prefix: string): Promise<void> {
    const { store, onBroken } = this.#options;
    if (this.#isStopped) return;
    const take = (entry: Entry): Promise<void> => this.open(new TextDecoder().decode(entry.value));
    const watch = await store.watch(
      { prefix },
      (events) => {
        for (const { type, entry } of events) if (type === "put") take(entry).catch(onBroken);
      },
      () => {
        this.#watches.delete(watch);
        this.#follow(prefix).catch(onBroken);
      },
    );
    this.#watches.add(watch);
    if (this.#isStopped) watch.close();
    for await (const entry of scan(store, prefix)) await take(entry);
  }

  /** Takes up a rollout that is written down; one that is open already stays as it is. */
  async open(id: string): Promise<void> {
    const { moment } = this.#turns;
    const record = await this.#read(id);
    if (record === undefined || this.#isStopped) return;
    const opening = this.#turns.read(record, moment);
    if (opening.kind === "read-again") return this.open(id);
    if (opening.kind === "nothing") return;
    this.#run(record);
    for (const other of opening.superseded) this.#open.get(other)?.input({ kind: "superseded" });
    await this.#turn(record.service);
  }

  relayJoined(session: RelaySession): void {
    for (const rollout of this.#open.values()) rollout.relayJoined(session);
  }

  relayLost({ relay }: RelaySession): void {
    for (const progress of this.#followed.values()) progress.lost(relay);
    for (const rollout of this.#open.values()) {
      rollout.progress.lost(relay);
      rollout.input({ kind: "relay-lost", relay });
    }
  }

  relayReported({ relay, region }: RelaySession, report: RelayReport): void {
    for (const tally of report.rollouts) {
      this.progress(tally.rollout)?.heard(relay, region, tally);
      const input = { kind: "relay-reported", relay, tally: tallyOf(tally) } as const;
      this.#open.get(tally.rollout)?.input(input);
      this.#changed(tally.rollout);
    }
  }

  censusAnswered({ relay }: RelaySession, answer: CensusAnswer): void {
    const { rollout, query, counts, lowest, total, away } = answer;
    const count = { counts, lowest, total, away };
    this.#open.get(rollout)?.input({ kind: "census-answered", relay, query, count });
  }

  /** Aborted when the term ends: whoever waits is to ask again. */
  get stopped(): AbortSignal {
    return this.#stopped.signal;
  }

  stop(): void {
    this.#stopped.abort();
    for (const watch of this.#watches) watch.close();
    for (const rollout of this.#open.values()) rollout.stop();
  }

  get #isStopped(): boolean {
    return this.#stopped.signal.aborted;
  }

  #run(record: RolloutRecord): OpenRollout {
    const { release, excludedRegions } = record;
    this.#options.fleet.hub.packs.expect(record.id, { release, excludedRegions });
    const rollout = new OpenRollout(
      {
        ...this.#options,
        pace: this.#pace,
        onChange: (id) => this.#changed(id),
        onEnded: (ended) => this.#ended(ended),
      },
      record,
    );
    this.#open.set(record.id, rollout);
    rollout.start();
    return rollout;
  }

  #ended({ record, progress }: OpenRollout): void {
    this.#open.delete(record.id);
    this.#turns.ended(record.id);
    const attributes = { state: record.row.state, reason: record.row.reason };
    this.#ends.add(1, attributes);
    this.#took.record((record.endedAtMs - record.createdAtMs) / 1_000, attributes);
    this.#followed.set(record.id, progress);
    for (const id of this.#followed.keys()) {
      if (this.#followed.size <= FOLLOWED_MAX) break;
      this.#followed.delete(id);
    }
    this.#options.fleet.hub.packs.expect(record.id, undefined);
    this.#changed(record.id);
    this.#turn(record.service).catch(this.#options.onBroken);
  }

  /** Starts the rollout whose turn it is, with what it would go back to as of now. */
  async #turn(service: string): Promise<void> {
    const { store } = this.#options;
    const active = await store.get(activeKey(service));
    // Read after the turn: who had it before has changed the assignments with it.
    const list = parseAssignments(await store.get(assignmentsKey(service)));
    const id = active && new TextDecoder().decode(active.value);
    if (this.#isStopped || !this.#turns.letIn(id)) return;
    const waiting = this.#open.get(id);
    if (waiting === undefined) return;
    const { excludedRegions, policy } = waiting.record;
    const previous = settledRelease(list, { targets: policy.targets, excludedRegions });
    await waiting.flushed();
    if (this.#open.get(id) !== waiting || this.#isStopped) return;
    waiting.stop();
    this.#run({ ...waiting.record, previous }).input({ kind: "turn-came" });
  }

  async #read(id: string): Promise<RolloutRecord | undefined> {
    const entry = await this.#options.store.get(rolloutKey(id));
    return entry && parseRollout(entry);
  }

  #changed(id: string): void {
    for (const changed of this.#watchers) changed(id);
  }
}
