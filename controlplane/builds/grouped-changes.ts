// Changes of many builds in few transactions: heartbeats and used-up time, of which 100 workers make dozens a
// second and none is urgent. What comes within a group's time is written together; the first after a rest goes at
// once. Where somebody was faster with a row, its change is made anew, alone.
import type { Compare, Operation, Store } from "../../runtime/store/store.ts";
import { transactionBytes } from "../../runtime/store/store-limits.ts";
import { transactionsOf } from "../../runtime/store/transaction-parts.ts";
import { type Fence, FenceLostError, isFenced } from "../fence.ts";
import { buildKey, changeOperations, letsGoOfKey } from "./build-keys.ts";
import type { BuildTable, ChangeResult, PlannedChange, StoredBuild } from "./build-table.ts";

export interface GroupedChangesOptions {
  readonly store: Store;
  readonly table: BuildTable;
  /** With it only under its epoch: changes reject with FenceLostError where there is another. */
  readonly fence?: Fence;
  /** Groups are written at most so often, milliseconds. */
  readonly groupMs: number;
}

type Plan = (row: StoredBuild["row"]) => PlannedChange;

interface Wanted {
  readonly id: string;
  readonly plan: Plan;
  readonly resolve: (result: ChangeResult | Promise<ChangeResult>) => void;
  readonly reject: (error: unknown) => void;
}

/** A change as decided from the row as it was read. */
interface Decided {
  readonly wanted: Wanted;
  readonly read: StoredBuild;
  readonly row: StoredBuild["row"];
  readonly compare: Compare;
  readonly changes: readonly Operation[];
  readonly operations: number;
  readonly bytes: number;
}

/** Gathers changes; each row's are made one after the other. */
export class GroupedChanges {
  readonly #options: GroupedChangesOptions;
  #waiting: Wanted[] = [];
  #writtenAt = Number.NEGATIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;
  #isWriting = false;

  constructor(options: GroupedChangesOptions) {
    this.#options = options;
  }

  /** As BuildTable.change, a group's time later at most; `plan` adds no compares or operations of its own. */
  change(id: string, plan: Plan): Promise<ChangeResult> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ id, plan, resolve, reject });
      this.#writeSoon();
    });
  }

  #writeSoon(): void {
    if (this.#isWriting || this.#waiting.length === 0) return;
    const waitMs = this.#writtenAt + this.#options.groupMs - performance.now();
    this.#timer ??= setTimeout(() => void this.#write(), Math.max(0, waitMs));
  }

  async #write(): Promise<void> {
    this.#timer = undefined;
    this.#writtenAt = performance.now();
    this.#isWriting = true;
    const group = this.#take();
    try {
      const decided = await Promise.all(group.map((wanted) => this.#decide(wanted)));
      const changes = decided.filter((one) => one !== undefined);
      for (const part of transactionsOf(changes)) await this.#commit(part);
    } catch (error) {
      // Those that are settled already stay so.
      for (const { reject } of group) reject(error);
    }
    this.#isWriting = false;
    this.#writeSoon();
  }

  /** What waits, but of each row the first change only. */
  #take(): Wanted[] {
    const group = new Map<string, Wanted>();
    const later: Wanted[] = [];
    for (const wanted of this.#waiting) {
      if (group.has(wanted.id)) later.push(wanted);
      else group.set(wanted.id, wanted);
    }
    this.#waiting = later;
    return [...group.values()];
  }

  /** Undefined: it is settled, because nothing is to be written, or more than a group can. */
  async #decide(wanted: Wanted): Promise<Decided | undefined> {
    const { id, plan, resolve } = wanted;
    const read = await this.#options.table.read(id);
    if (read === undefined) return void resolve({ ok: false, refusal: "unknown-build" });
    const planned = plan(read.row);
    if (!planned.ok) return void resolve(planned);
    const { row } = planned;
    if (row === read.row) return void resolve({ ok: true, row, before: row });
    if (letsGoOfKey(read.row, row)) return void resolve(this.#alone(wanted));
    const compare: Compare = { key: buildKey(id), modRevision: read.revision };
    const changes = changeOperations(read.row, row);
    return {
      ...{ wanted, read, row, compare, changes },
      operations: 1 + changes.length,
      bytes: transactionBytes({ compares: [compare], operations: changes }),
    };
  }

  async #commit(part: readonly Decided[]): Promise<void> {
    const { store, fence } = this.#options;
    const result = await store.transact({
      compares: [...part.map(({ compare }) => compare), ...(fence ? [fence.compare] : [])],
      operations: part.flatMap(({ changes }) => changes),
    });
    if (result.committed) {
      for (const { wanted, read, row } of part) wanted.resolve({ ok: true, row, before: read.row });
      return;
    }
    const { current } = result;
    if (fence !== undefined && isFenced(fence, current.at(-1))) throw new FenceLostError();
    const isAsRead = ({ read }: Decided, index: number): boolean =>
      current[index]?.modRevision === read.revision;
    for (const { wanted } of part.filter((one, index) => !isAsRead(one, index))) {
      wanted.resolve(this.#alone(wanted));
    }
    const rest = part.filter(isAsRead);
    if (rest.length > 0) await this.#commit(rest);
  }

  #alone({ id, plan }: Wanted): Promise<ChangeResult> {
    return this.#options.table.change(id, plan, this.#options.fence);
  }
}
