// Which rollout of a service has its turn and which wait: the rows that say so, and how a rollout that begins or
// ends changes them. Each change holds only while the rows it was made from are as they were read.

/** Digits of unix milliseconds in keys, so that they sort. */
const TIME_DIGITS = 15;

export const ACTIVE_PREFIX = "rollouts-active/";
export const WAITING_PREFIX = "rollouts-waiting/";

/** What names a rollout among those of its service; `createdAtMs` is wall-clock time. */
export interface TurnTaker {
  readonly id: string;
  readonly service: string;
  readonly createdAtMs: number;
}

/** A row that names a rollout, as it was read. */
export interface TurnRow {
  readonly key: string;
  readonly id: string;
  readonly modRevision: number;
}

/** A change of rows; revision 0: the row must be absent. */
export interface TurnChange {
  readonly compares: readonly { readonly key: string; readonly modRevision: number }[];
  readonly operations: readonly (
    | { readonly put: string; readonly value: string }
    | { readonly delete: string }
  )[];
}

/** Names the rollout that has its turn; absent: none is open. */
export function activeKey(service: string): string {
  return `${ACTIVE_PREFIX}${service}`;
}

/** Sorts rollouts by their beginning. */
export function timeName({ createdAtMs, id }: Pick<TurnTaker, "createdAtMs" | "id">): string {
  return `${String(createdAtMs).padStart(TIME_DIGITS, "0")}-${id}`;
}

export function waitingKey(taker: TurnTaker): string {
  return `${waitingPrefix(taker.service)}${timeName(taker)}`;
}

/** Rows of those that wait, first come first. */
export function waitingPrefix(service: string): string {
  return `${WAITING_PREFIX}${service}/`;
}

/**
 * When a rollout begins, by rows: after all that are open, also where the wall clock went back, or where another
 * replica's was ahead; else an older one would be taken for the newer. `lastWaiting` is the key of who waits last.
 */
export function beginsAtMs(
  wallMs: number,
  service: string,
  active: Pick<TurnTaker, "createdAtMs"> | undefined,
  lastWaiting: string | undefined,
): number {
  const after = [wallMs];
  if (active !== undefined) after.push(active.createdAtMs + 1);
  if (lastWaiting !== undefined) {
    after.push(Number.parseInt(lastWaiting.slice(waitingPrefix(service).length), 10) + 1);
  }
  return Math.max(...after);
}

/** A rollout begins: at once where none is open, else behind the others. */
export function begun(taker: TurnTaker, active: TurnRow | undefined): TurnChange {
  const { id, service } = taker;
  const compares = [{ key: activeKey(service), modRevision: active?.modRevision ?? 0 }];
  // Written also where another is active, so that its end notices who waits behind it.
  const turn = { put: activeKey(service), value: active?.id ?? id };
  if (active === undefined) return { compares, operations: [turn] };
  return { compares, operations: [turn, { put: waitingKey(taker), value: id }] };
}

/** A rollout ends: `first` is who waits for the longest time. */
export function ended(
  taker: TurnTaker,
  active: TurnRow | undefined,
  first: TurnRow | undefined,
): TurnChange {
  const key = activeKey(taker.service);
  const compares = [{ key, modRevision: active?.modRevision ?? 0 }];
  if (active === undefined || active.id !== taker.id) {
    return { compares, operations: [{ delete: waitingKey(taker) }] };
  }
  if (first === undefined) return { compares, operations: [{ delete: key }] };
  // One that ends while it waits does not get its turn.
  compares.push({ key: first.key, modRevision: first.modRevision });
  return { compares, operations: [{ put: key, value: first.id }, { delete: first.key }] };
}
