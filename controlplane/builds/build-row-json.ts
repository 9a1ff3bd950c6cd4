// Build rows as JSON in the store: the only file that knows their text. Parsing checks the whole row, so
// that a damaged store is noticed where it is read.
import { z } from "zod";
import type { BuildRow } from "../../core/builds/build-row.ts";

const count = z.number().int().nonnegative();
const labels = z.record(z.string(), z.string());

const facts = {
  id: z.string().regex(/^b-[0-9a-f]{16}$/),
  repository: z.string().min(1),
  sha: z.string().regex(/^[0-9a-f]{40}$/),
  recipe: z.string(),
  expectedService: z.string(),
  service: z.string(),
  dedupKey: z.string().min(1),
  traceparent: z.string(),
  createdAtMs: count,
  overallMs: count,
  overallSpentMs: count,
  stateSpentMs: count,
  attempt: count,
  losses: count,
  retryNeedsMs: count,
  requesters: z.array(z.string()),
  ship: z
    .object({
      wish: z.object({
        targets: labels,
        overrideTargets: z.boolean(),
        excludedRegions: z.array(z.string()),
        supersede: z.boolean(),
        urgent: z.boolean().default(false),
      }),
      requesters: z.array(z.string()),
    })
    .optional(),
};

const attempted = {
  worker: z.string(),
  startedAtMs: count,
  progress: z.object({
    phase: z.string(),
    segments: count,
    outputBytes: count,
    packedBytes: count,
    logBytes: count,
    targets: labels,
  }),
};

const schema = z.discriminatedUnion("state", [
  z.object({ ...facts, state: z.literal("queued") }),
  z.object({
    ...facts,
    ...attempted,
    state: z.literal("leased"),
    attemptMs: count,
    attemptLimit: z.enum(["attempt", "overall"]),
    cancelling: z.boolean(),
    // Rows of earlier versions have none.
    heartbeats: count.default(0),
  }),
  z.object({
    ...facts,
    ...attempted,
    state: z.literal("succeeded"),
    endedAtMs: count,
    release: z.string(),
    rollout: z.string(),
    message: z.string(),
  }),
  z.object({
    ...facts,
    ...attempted,
    state: z.enum(["failed", "cancelled", "timed_out"]),
    endedAtMs: count,
    reason: z.string(),
    message: z.string(),
  }),
]);

/** The row as a value of the store. */
export function encodeBuild(row: BuildRow): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(row));
}

/** Reads a row; throws ZodError where it is not one. */
export function decodeBuild(value: Uint8Array): BuildRow {
  return parseBuild(JSON.parse(new TextDecoder().decode(value)));
}

/** The same for what JSON.parse gave. */
export function parseBuild(json: unknown): BuildRow {
  return schema.parse(json);
}
