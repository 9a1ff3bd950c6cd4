// Every change of a build, as functions from row to row. A refusal is a value: the caller tells whoever
// asked. Nothing here reads a clock; what time is left is an argument.
import { DELIVERIES_MAX, REQUESTERS_MAX, RETRY_MS_MIN } from "./build-limits.ts";
import {
  type Attempted,
  type BuildFacts,
  type BuildProgress,
  type BuildRow,
  type BuildState,
  isLive,
  type LeasedBuild,
  NEXT_STATES,
  NO_PROGRESS,
  type QueuedBuild,
  type ShipWish,
  type StoppedBuild,
  type SucceededBuild,
} from "./build-row.ts";

/** Why a change does not happen. */
export type Refusal =
  /** Somebody else has the build, or it has ended: whoever asked stops. */
  | "not-current"
  | "not-queued"
  /** A retry could not end within the overall limit; the sweeper will end the build. */
  | "no-time"
  | "too-many-requesters"
  | "other-ship"
  | "not-attachable";

export type Change<Row extends BuildRow = BuildRow> =
  | { readonly ok: true; readonly row: Row }
  | { readonly ok: false; readonly refusal: Refusal };

/** How an attempt ended, in the worker's words. */
export type Outcome =
  | { readonly kind: "release"; readonly release: string; readonly service: string }
  | { readonly kind: "failure"; readonly reason: string; readonly message: string }
  | { readonly kind: "cancelled" };

/** Reason with which a worker that is shut down gives its build back; it costs no delivery. */
export const HANDED_BACK = "handed_back";
/** Reason with which a worker says that the attempt's time was up. */
export const ATTEMPT_TIME_UP = "attempt";

/**
 * Attaches a request; a build that has ended without success takes none. One that has succeeded only
 * remembers who had it rolled out, so that a repeat is known.
 */
export function attach(row: BuildRow, requester: string, wish: ShipWish | undefined): Change {
  if (row.state === "succeeded") return attachToSucceeded(row, requester, wish);
  if (!isLive(row) || isCancelling(row)) return refused("not-attachable");
  const isKnown = row.requesters.includes(requester);
  if (!isKnown && row.requesters.length >= REQUESTERS_MAX) return refused("too-many-requesters");
  const requesters = isKnown ? row.requesters : [...row.requesters, requester];
  if (wish === undefined) return isKnown ? { ok: true, row } : changed(row, { ...row, requesters });
  if (row.ship !== undefined && !isSameWish(row.ship.wish, wish)) return refused("other-ship");
  const shippers = new Set([...(row.ship?.requesters ?? []), requester]);
  return changed(row, { ...row, requesters, ship: { wish, requesters: [...shippers] } });
}

function attachToSucceeded(
  row: SucceededBuild,
  requester: string,
  wish: ShipWish | undefined,
): Change {
  if (wish === undefined) return { ok: true, row };
  const before = row.ship?.requesters ?? [];
  if (row.rollout !== "" && before.includes(requester)) return { ok: true, row };
  const requesters = [...before, requester].slice(-REQUESTERS_MAX);
  return changed(row, { ...row, ship: { wish, requesters } });
}

/** Hands the build to a worker: the attempt rises and fences all before. */
export function lease(
  row: BuildRow,
  to: {
    readonly worker: string;
    readonly nowMs: number;
    readonly attemptMsMax: number;
    readonly overallLeftMs: number;
  },
): Change<LeasedBuild> {
  if (row.state !== "queued") return refused("not-queued");
  if (to.overallLeftMs < row.retryNeedsMs) return refused("no-time");
  const isOverallFirst = to.overallLeftMs < to.attemptMsMax;
  return changed(row, {
    ...row,
    state: "leased",
    attempt: row.attempt + 1,
    overallSpentMs: row.overallMs - to.overallLeftMs,
    stateSpentMs: 0,
    worker: to.worker,
    startedAtMs: to.nowMs,
    attemptMs: Math.max(1, isOverallFirst ? to.overallLeftMs : to.attemptMsMax),
    attemptLimit: isOverallFirst ? "overall" : "attempt",
    cancelling: false,
    heartbeats: 0,
    progress: NO_PROGRESS,
  });
}

/** Takes down how far the attempt is; the service is fixed by the first that names one. */
export function heartbeat(
  row: BuildRow,
  attempt: number,
  said: { readonly service: string; readonly progress: BuildProgress },
): Change<LeasedBuild> {
  if (!isCurrent(row, attempt)) return refused("not-current");
  const service = row.service === "" ? said.service : row.service;
  const segments = Math.max(row.progress.segments, said.progress.segments);
  const heartbeats = row.heartbeats + 1;
  return changed(row, { ...row, service, heartbeats, progress: { ...said.progress, segments } });
}

/** Ends the attempt. A repeat of what ended the build is accepted and changes nothing. */
export function complete(row: BuildRow, attempt: number, outcome: Outcome, nowMs: number): Change {
  if (!isCurrent(row, attempt)) {
    return isRepeat(row, attempt, outcome) ? { ok: true, row } : refused("not-current");
  }
  if (row.cancelling) return changed(row, cancelled(row, nowMs));
  switch (outcome.kind) {
    case "release": {
      const { attemptMs: _a, attemptLimit: _l, cancelling: _c, heartbeats: _h, ...facts } = row;
      const succeeded: SucceededBuild = {
        ...facts,
        state: "succeeded",
        service: outcome.service,
        endedAtMs: nowMs,
        release: outcome.release,
        rollout: "",
        message: "",
      };
      return changed(row, succeeded);
    }
    case "failure":
      return changed(row, failed(row, outcome.reason, outcome.message, nowMs));
    case "cancelled":
      // Nobody asked it to stop: the worker is confused, and the build is given to another.
      return changed(row, requeued(row));
    default:
      throw outcome satisfies never;
  }
}

/** Lets one requester go, or all where it is empty; the last one to go cancels the build. */
export function cancel(row: BuildRow, requester: string, nowMs: number): Change {
  if (!isLive(row)) return { ok: true, row };
  const requesters = requester === "" ? [] : row.requesters.filter((one) => one !== requester);
  const shippers = requester === "" ? [] : row.ship?.requesters.filter((one) => one !== requester);
  const ship =
    row.ship === undefined || shippers === undefined || shippers.length === 0
      ? undefined
      : { ...row.ship, requesters: shippers };
  if (requesters.length > 0) return changed(row, { ...row, requesters, ship });
  const left = { ...row, requesters };
  if (left.state === "queued") return changed(row, cancelled(left, nowMs));
  return changed(row, { ...left, cancelling: true });
}

/** The worker has vanished: another one gets the build if it has deliveries and time left. */
export function lose(
  row: BuildRow,
  attempt: number,
  left: { readonly overallLeftMs: number; readonly ranMs: number; readonly nowMs: number },
): Change {
  if (!isCurrent(row, attempt)) return refused("not-current");
  if (row.cancelling) return changed(row, cancelled(row, left.nowMs));
  const lost = { ...row, losses: row.losses + 1 };
  const why = `worker ${row.worker} was not heard of any more in attempt ${attempt}`;
  if (lost.losses >= DELIVERIES_MAX) {
    const message = `${why}; given up after ${lost.losses} deliveries`;
    return changed(row, stopped(lost, "failed", "worker_lost", message, left.nowMs));
  }
  // The lost attempt ran so long without an end: the next one needs at least that.
  const retryNeedsMs = Math.max(RETRY_MS_MIN, row.retryNeedsMs, Math.round(left.ranMs));
  if (left.overallLeftMs < retryNeedsMs) {
    const message = `${why}; another attempt could not end within the overall limit`;
    return changed(row, stopped(lost, "failed", "worker_lost", message, left.nowMs));
  }
  return changed(row, requeued({ ...lost, retryNeedsMs }));
}

/**
 * Attempts that are left out where the store was put back: more than it can have forgotten of one build, as names
 * of packs are made from them and a pack is written once.
 */
const ATTEMPTS_FORGOTTEN_MAX = 1_000;

/** The store has forgotten what became of a live build: it is done again, under an attempt that nobody had. */
export function reissue(row: BuildRow, nowMs: number): Change {
  if (!isLive(row)) return { ok: true, row };
  if (isCancelling(row)) return changed(row, cancelled(row, nowMs));
  const queued = row.state === "leased" ? requeued(row) : row;
  return changed(row, { ...queued, attempt: row.attempt + ATTEMPTS_FORGOTTEN_MAX });
}

/** A deadline of the queue, the attempt or the whole has passed. */
export function expire(
  row: BuildRow,
  attempt: number,
  limit: "queue" | "attempt" | "overall",
  nowMs: number,
): Change {
  if (!isLive(row) || row.attempt !== attempt) return refused("not-current");
  if (isCancelling(row)) return changed(row, cancelled(row, nowMs));
  const reason = limit === "attempt" && row.state === "leased" ? row.attemptLimit : limit;
  return changed(row, stopped(row, "timed_out", reason, timedOutMessage(row, reason), nowMs));
}

/** Writes down how much time the build has used. */
export function checkpoint(
  row: BuildRow,
  attempt: number,
  spent: { readonly overallSpentMs: number; readonly stateSpentMs: number },
): Change {
  if (!isLive(row) || row.attempt !== attempt) return refused("not-current");
  return changed(row, { ...row, ...spent });
}

/** Whether the attempt is the one that may speak for the build now. */
export function isCurrent(row: BuildRow, attempt: number): row is LeasedBuild {
  return row.state === "leased" && row.attempt === attempt;
}

function isCancelling(row: BuildRow): boolean {
  return row.state === "leased" && row.cancelling;
}

function isRepeat(row: BuildRow, attempt: number, outcome: Outcome): boolean {
  if (isLive(row) || row.attempt !== attempt) return false;
  switch (outcome.kind) {
    case "release":
      return row.state === "succeeded" && row.release === outcome.release;
    case "failure":
      return row.state === "timed_out"
        ? outcome.reason === ATTEMPT_TIME_UP
        : row.state === "failed" && row.reason === outcome.reason;
    case "cancelled":
      return row.state === "cancelled";
    default:
      throw outcome satisfies never;
  }
}

function failed(row: LeasedBuild, reason: string, message: string, nowMs: number): BuildRow {
  if (reason === HANDED_BACK) return requeued(row);
  if (reason === ATTEMPT_TIME_UP) {
    const text = message === "" ? timedOutMessage(row, row.attemptLimit) : message;
    return stopped(row, "timed_out", row.attemptLimit, text, nowMs);
  }
  return stopped(row, "failed", reason, message, nowMs);
}

function requeued(row: LeasedBuild): QueuedBuild {
  const {
    worker: _w,
    startedAtMs: _s,
    progress: _p,
    attemptMs: _a,
    attemptLimit: _l,
    cancelling: _c,
    heartbeats: _h,
    ...facts
  } = row;
  return { ...facts, state: "queued", stateSpentMs: 0 };
}

function cancelled(row: QueuedBuild | LeasedBuild, nowMs: number): StoppedBuild {
  const message = "everybody who asked for it has cancelled";
  return stopped(row, "cancelled", "cancelled", message, nowMs);
}

function stopped(
  row: QueuedBuild | LeasedBuild,
  state: StoppedBuild["state"],
  reason: string,
  message: string,
  nowMs: number,
): StoppedBuild {
  return { ...factsOf(row), ...attemptedOf(row), state, endedAtMs: nowMs, reason, message };
}

function factsOf(row: QueuedBuild | LeasedBuild): BuildFacts {
  if (row.state === "leased") return factsOf(requeued(row));
  const { state: _state, ...facts } = row;
  return facts;
}

function attemptedOf(row: QueuedBuild | LeasedBuild): Attempted {
  if (row.state === "queued") return { worker: "", startedAtMs: 0, progress: NO_PROGRESS };
  const { worker, startedAtMs, progress } = row;
  return { worker, startedAtMs, progress };
}

function timedOutMessage(row: BuildRow, reason: string): string {
  switch (reason) {
    case "queue":
      return "no worker took it in time";
    case "overall":
      return `it did not end within its overall limit of ${row.overallMs / 1_000} s`;
    default:
      return `attempt ${row.attempt} did not end within its time`;
  }
}

function isSameWish(one: ShipWish, other: ShipWish): boolean {
  return wishText(one) === wishText(other);
}

function wishText(wish: ShipWish): string {
  const targets = Object.entries(wish.targets).toSorted(([a], [b]) => (a < b ? -1 : 1));
  const regions = wish.excludedRegions.toSorted();
  return JSON.stringify([targets, wish.overrideTargets, regions, wish.supersede, wish.urgent]);
}

function changed<Row extends BuildRow>(before: BuildRow, row: Row): Change<Row> {
  const allowed: readonly BuildState[] = NEXT_STATES[before.state];
  if (!allowed.includes(row.state)) {
    throw new Error(`build ${before.id}: ${before.state} cannot become ${row.state}`);
  }
  return { ok: true, row };
}

function refused(refusal: Refusal): { readonly ok: false; readonly refusal: Refusal } {
  return { ok: false, refusal };
}
