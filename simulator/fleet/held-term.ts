// The term of a simulated leader whose store went back, as controlplane/leadership/held-term.ts has it: it asks relays
// what they remember, and ends when an operator goes on from this store.
import { type BuildRow, isLive } from "../../core/builds/build-row.ts";
import { reissue } from "../../core/builds/build-transitions.ts";
import { BEHIND_KEY, EPOCH_KEY, raisedIncarnation } from "../../core/leadership/election.ts";
import type { EpochParts, TermPoint } from "../../core/leadership/epoch.ts";
import {
  isKnownBetter,
  ofThisHistory,
  type RememberedOrder,
  suspects,
} from "../../core/leadership/lost-orders.ts";
import { keptRow, keptRules } from "../../core/rollout/kept-service.ts";
import { activeKey } from "../../core/rollout/service-turns.ts";
import { BUILDS_PREFIX } from "./build-rows.ts";
import type { RelaySays } from "./messages.ts";
import { assignmentsKey, type RolloutRecord, rolloutKey, rulesOf } from "./rollout-record.ts";
import type { Condition, StoreModel, Write } from "./store-model.ts";
import type { LineToRelay, TermHost } from "./term-host.ts";

/** A relay whose memory does not come in this time is let go. */
const MEMORY_MS_MAX = 10_000;

type Change = { readonly compares: readonly Condition[]; readonly operations: readonly Write[] };

export class HeldTerm {
  readonly #term: TermHost;
  readonly #heard = new Map<string, readonly RememberedOrder[]>();
  #highest: number;
  #isRaising = false;

  constructor(term: TermHost, behind: TermPoint) {
    this.#term = term;
    this.#highest = behind.epoch;
  }

  /** Relays that have told what they remember. */
  get heardCount(): number {
    return this.#heard.size;
  }

  /** Asks a relay what it remembers, and sends it away. */
  ask(hello: Extract<RelaySays, { kind: "hello" }>, line: LineToRelay): void {
    this.#highest = Math.max(this.#highest, hello.epoch);
    line.onMessage = (message) => {
      if (message.kind !== "memory") return;
      this.#heard.set(hello.relay, ofThisHistory(message.orders, this.#term.epoch));
      line.close();
    };
    line.send({ kind: "recall" });
    this.#term.process.after(MEMORY_MS_MAX, () => line.close());
  }

  /** An operator goes on from this store, which ends the term; where it does not, ask again. */
  raise(): void {
    if (this.#isRaising) return;
    this.#isRaising = true;
    this.#term.store.read(
      (model) => ({ epoch: model.get(EPOCH_KEY), changes: this.#changes(model) }),
      (answer) => {
        if (answer.kind !== "answered") this.#isRaising = false;
        // Raised by an earlier try whose answer was lost, or by another leader.
        else if (this.#term.isFenced(answer.value.epoch)) this.#term.lose();
        else this.#write(answer.value.changes);
      },
    );
  }

  /** In this order: the last one ends the term. */
  #changes(model: StoreModel): readonly Change[] {
    const remembered = [...this.#heard.values()].flat();
    const services = [...Map.groupBy(remembered, ({ service }) => service)].sort();
    const kept = services.flatMap(([service, orders]) =>
      this.#isLost(model, service, orders) ? keeping(model, service) : [],
    );
    const builds = model.range(BUILDS_PREFIX).filter(({ value }) => isLive(value as BuildRow));
    const again = builds.map(({ key, value, modRevision }): Change => {
      const change = reissue(value as BuildRow, 0);
      const row = change.ok ? change.row : value;
      return { compares: [{ key, modRevision }], operations: [{ put: key, value: row }] };
    });
    const epoch = model.get(EPOCH_KEY)?.value as EpochParts;
    const raised = raisedIncarnation(epoch, this.#highest);
    const operations = [{ put: EPOCH_KEY, value: raised }, { delete: BEHIND_KEY }];
    return [...kept, ...again, { compares: [], operations }];
  }

  #isLost(model: StoreModel, service: string, orders: readonly RememberedOrder[]): boolean {
    const entry = model.get(assignmentsKey(service));
    const rollouts = new Set(rulesOf(entry).map(({ rollout }) => rollout));
    const stored = { epoch: this.#term.epoch, revision: entry?.modRevision ?? 0, rollouts };
    const lacks = suspects(orders, stored).filter(
      ({ rollout }) => model.get(rolloutKey(rollout)) === undefined,
    );
    return isKnownBetter(orders, stored, lacks.length);
  }

  #write([first, ...rest]: readonly Change[]): void {
    const { store, fence, isStopped } = this.#term;
    if (first === undefined || isStopped) {
      // Its own fence is gone with the epoch of before.
      this.#term.lose();
      return;
    }
    const compares = [fence, ...first.compares];
    store.transact({ compares, operations: first.operations }, (answer) => {
      if (answer.kind === "answered" && answer.value.committed) this.#write(rest);
      else this.#isRaising = false;
    });
  }
}

/** Its machines stay as they are. */
function keeping(model: StoreModel, service: string): Change {
  const assigned = model.get(assignmentsKey(service));
  const active = model.get(activeKey(service));
  const open = active && model.get(rolloutKey(active.value as string));
  const compares = [
    { key: assignmentsKey(service), modRevision: assigned?.modRevision ?? 0 },
    { key: activeKey(service), modRevision: active?.modRevision ?? 0 },
  ];
  const operations: Write[] = [];
  if (assigned !== undefined) {
    operations.push({ put: assigned.key, value: keptRules(rulesOf(assigned)) });
  }
  if (open !== undefined) {
    const record = open.value as RolloutRecord;
    compares.push({ key: open.key, modRevision: open.modRevision });
    operations.push({ put: open.key, value: { ...record, row: keptRow(record.row) } });
  }
  return { compares, operations };
}
