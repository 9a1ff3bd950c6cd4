// RolloutService: checks what is asked, and hands it on. An operator's word is answered when what follows
// from it is written down.

import { isFinal } from "../../core/rollout/lifecycle.ts";
import type { RolloutState } from "../../core/rollout/rollout-row.ts";
import type {
  RollBackRequest,
  Rollout,
  RolloutServiceServer,
  WatchRolloutResponse,
} from "../../proto/gen/millrace/v1/rollouts.ts";
import { serverStream, unary } from "../../runtime/grpc/handlers.ts";
import {
  aborted,
  ending,
  failedPrecondition,
  invalid,
  unavailable,
} from "../../runtime/grpc/rpc-error.ts";
import type { Log } from "../../runtime/log.ts";
import { pause } from "../../runtime/program/back-off.ts";
import { inRequestSpan } from "../../runtime/telemetry.ts";
import { listLimit, listService } from "../builds/list-page.ts";
import type { OpenRollout } from "./open-rollout.ts";
import type { RolloutEngine } from "./rollout-engine.ts";
import type { RolloutPlanner } from "./rollout-planner.ts";
import type { RolloutReader } from "./rollout-reader.ts";
import { checkKey, type RolloutStarter } from "./rollout-starter.ts";

const PAGE_TOKEN = /^\d{15}-r-[0-9a-f]{16}$/;
/** A follower gets at most two states a second, and the last one at once. */
const WATCH_MS = 500;

type Order = "paused" | "resumed" | "aborted" | "rolled-back-by-hand";

export interface RolloutServiceOptions {
  readonly engine: RolloutEngine;
  readonly reader: RolloutReader;
  readonly starter: RolloutStarter;
  readonly planner: RolloutPlanner;
  readonly log: Log;
}

export function createRolloutService(options: RolloutServiceOptions): RolloutServiceServer {
  const { engine, reader, starter, planner, log } = options;
  const tell = (id: string, order: Order) => tellOpen(options, id, order);
  return {
    planRollout: unary(log, (request) => planner.plan(request)),
    startRollout: unary(log, (request, { metadata }) =>
      inRequestSpan("rollout.start", metadata, async (traceparent) => ({
        rollout: await reader.get(await starter.start(request, traceparent)),
      })),
    ),
    getRollout: unary(log, async (request) => {
      const { id } = await find(engine, reader, request.id);
      return { rollout: await reader.get(id) };
    }),
    listRollouts: unary(log, async (request) => {
      const { openOnly, pageToken } = request;
      if (pageToken !== "" && !PAGE_TOKEN.test(pageToken)) {
        throw invalid(`page_token "${pageToken}": not one that an answer gave`);
      }
      const service = listService(request.service);
      return reader.list({ service, openOnly, limit: listLimit(request.limit), pageToken });
    }),
    watchRollout: serverStream(log, ({ id }, { signal }) => watch(engine, reader, id, signal)),
    pauseRollout: unary(log, async ({ id }) => ({ rollout: await tell(id, "paused") })),
    resumeRollout: unary(log, async ({ id }) => ({ rollout: await tell(id, "resumed") })),
    abortRollout: unary(log, async ({ id }) => ({ rollout: await tell(id, "aborted") })),
    rollBack: unary(log, (request, { metadata }) =>
      inRequestSpan("rollout.roll_back", metadata, async (traceparent) => ({
        rollout: await rollBack(options, request, traceparent),
      })),
    ),
  };
}

/** Tells an open rollout what its operator wants, again too; FAILED_PRECONDITION where it cannot be done. */
async function tellOpen(
  { engine, reader }: RolloutServiceOptions,
  name: string,
  order: Order,
): Promise<Rollout> {
  const { id, state } = await find(engine, reader, name);
  const open = await openOf(engine, id);
  // Who did not hear the answer says it again.
  if (open === undefined && order === "aborted" && state === "aborted") return reader.get(id);
  if (open === undefined) throw failedPrecondition(`rollout ${id} has ended: ${state}`);
  if (state === "rolling_back" && order !== "rolled-back-by-hand") {
    throw failedPrecondition(`rollout ${id} is rolling back, and ends when all machines are back`);
  }
  open.input({ kind: order });
  await open.flushed();
  // What was not written down is lost with the term.
  if (engine.stopped.aborted) throw unavailable("the leader has changed; say it again");
  return reader.get(id);
}

/** Open: its machines go back. Ended: a rollout to the release before it. */
async function rollBack(
  options: RolloutServiceOptions,
  { id: name, idempotencyKey: key }: RollBackRequest,
  traceparent: string,
): Promise<Rollout> {
  const { engine, reader, starter } = options;
  checkKey(key);
  // Who did not hear the answer says it again, and by now the name may mean another rollout.
  const started = await starter.started(key);
  if (started !== undefined) return reader.get(started);
  const taken = await starter.takenBack(key);
  const id = taken ?? (await find(engine, reader, name)).id;
  if ((await openOf(engine, id)) !== undefined) {
    if (key !== "" && taken === undefined && !(await starter.noteTakenBack(key, id))) {
      throw aborted(`idempotency_key ${key} is being used by another request; say it again`);
    }
    return tellOpen(options, id, "rolled-back-by-hand");
  }
  if (taken !== undefined) return reader.get(taken);
  // A service goes back from what it runs, not from what was tried last.
  const named = await reader.seen(id);
  const isService = named.record.service === name;
  const running = isService ? await reader.newestSucceeded(name) : undefined;
  const { record } = running ?? named;
  if (record.previous === undefined) {
    throw failedPrecondition(`rollout ${record.id} had no release before it to go back to`);
  }
  const { policy, excludedRegions, previous: release } = record;
  const start = { release, policy, excludedRegions, supersede: true, build: "", traceparent };
  return reader.get(await starter.commit(start, key, 0));
}

/** A rollout that has not ended; of one that has, the end is written down when this resolves. */
async function openOf(engine: RolloutEngine, id: string): Promise<OpenRollout | undefined> {
  const open = engine.get(id);
  if (open === undefined || !isFinal(open.record.row.state)) return open;
  await open.flushed();
  return undefined;
}

/** By id, or a service's open rollout, or its newest. */
async function find(
  engine: RolloutEngine,
  reader: RolloutReader,
  name: string,
): Promise<{ readonly id: string; readonly state: RolloutState }> {
  const running = engine.all.find(
    ({ record: { service, row } }) =>
      service === name && row.state !== "waiting" && !isFinal(row.state),
  );
  const { record } = running ?? (await reader.seen(name));
  return { id: record.id, state: record.row.state };
}

async function* watch(
  engine: RolloutEngine,
  reader: RolloutReader,
  id: string,
  gone: AbortSignal,
): AsyncGenerator<WatchRolloutResponse> {
  const signal = AbortSignal.any([gone, engine.stopped]);
  const ended = new AbortController();
  const resting = AbortSignal.any([signal, ended.signal]);
  const first = await reader.seen(id);
  let isChanged = true;
  let wake = (): void => {};
  const note = (changed: string): void => {
    if (changed !== first.record.id) return;
    isChanged = true;
    if (engine.get(changed) === undefined) ended.abort();
    wake();
  };
  const unwatch = engine.watch(note);
  signal.addEventListener("abort", () => wake(), { once: true });
  try {
    while (!signal.aborted) {
      if (isChanged) {
        isChanged = false;
        const { record } = await reader.seen(first.record.id);
        yield { rollout: await reader.get(record.id) };
        // Ended, and written down: what is followed after that is nobody's to wait for.
        if (isFinal(record.row.state) && engine.get(record.id) === undefined) return;
        await pause(WATCH_MS, resting);
      } else {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    }
    if (engine.stopped.aborted) throw ending("the leader has changed; watch it again");
  } finally {
    unwatch();
  }
}
