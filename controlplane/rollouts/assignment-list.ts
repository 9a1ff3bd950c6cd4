// The list of what a service's machines should run, as a row of the store and as relays and agents get it. How
// it changes is decided in core/rollout/assignment-rules.ts.
import { z } from "zod";
import type { AssignmentRule } from "../../core/rollout/assignment-rules.ts";
import { AssignmentPhase, type ServiceAssignments } from "../../proto/gen/millrace/v1/fleet.ts";
import { Release } from "../../proto/gen/millrace/v1/release_format.ts";
import type { Entry } from "../../runtime/store/store.ts";

/** Releases an agent keeps on disk. */
const KEEP_RELEASES = 3;

/** One rule. */
export type AssignmentEntry = AssignmentRule<Release>;

const Rule = z.object({
  threshold: z.number(),
  regions: z.array(z.string()),
  labels: z.record(z.string(), z.string()),
});
const Flat = z.object({
  rollout: z.string(),
  release: z.unknown().optional(),
  fallback: z.unknown().optional(),
  targets: z.record(z.string(), z.string()),
  excludedRegions: z.array(z.string()),
  phase: z.enum(["open", "final", "rollback", "frozen"]),
  waves: z.array(Rule),
  paused: z.boolean(),
  traceparent: z.string(),
  urgent: z.boolean().default(false),
});
const Stored = Flat.extend({
  before: z.object({ entry: Flat, index: z.number().int().nonnegative() }).optional(),
});

export const SERVICES_PREFIX = "services/";
export const assignmentsKey = (service: string): string =>
  `${SERVICES_PREFIX}${service}/assignments`;

export function encodeAssignments(list: readonly AssignmentEntry[]): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(list.map(toJson)));
}

/** No row is an empty list; throws where the row is not a list of assignments. */
export function parseAssignments(entry: Entry | undefined): readonly AssignmentEntry[] {
  if (entry === undefined) return [];
  const stored = z.array(Stored).parse(JSON.parse(new TextDecoder().decode(entry.value)));
  return stored.map((one) => {
    const { before } = one;
    const entryBefore = before && { entry: revive(before.entry), index: before.index };
    return { ...revive(one), before: entryBefore };
  });
}

/** As relays and agents get it. */
export function toWire(
  service: string,
  list: readonly AssignmentEntry[],
  epoch: number,
  revision: number,
): ServiceAssignments {
  const assignments = list.map((entry) => ({
    service,
    epoch,
    revision,
    rollout: entry.rollout,
    release: entry.release,
    fallback: entry.fallback,
    targets: { ...entry.targets },
    excludedRegions: [...entry.excludedRegions],
    phase: WIRE_PHASE[entry.phase],
    waves: entry.waves.map(({ threshold, regions, labels }) => ({
      threshold,
      regions: [...regions],
      labels: { ...labels },
    })),
    paused: entry.paused,
    traceparent: entry.traceparent,
    urgent: entry.urgent,
    superseded: false,
    keepReleases: KEEP_RELEASES,
    signature: Buffer.alloc(0),
  }));
  return { service, assignments, epoch, revision };
}

const WIRE_PHASE = {
  open: AssignmentPhase.ASSIGNMENT_PHASE_OPEN,
  final: AssignmentPhase.ASSIGNMENT_PHASE_FINAL,
  rollback: AssignmentPhase.ASSIGNMENT_PHASE_ROLLBACK,
  frozen: AssignmentPhase.ASSIGNMENT_PHASE_FROZEN,
} as const;

function toJson(entry: AssignmentEntry): unknown {
  const { release, fallback, before, ...rest } = entry;
  return {
    ...rest,
    release: Release.toJSON(release),
    fallback: fallback && Release.toJSON(fallback),
    before: before && { entry: toJson(before.entry), index: before.index },
  };
}

function revive(flat: z.infer<typeof Flat>): AssignmentEntry {
  const fallback = flat.fallback === undefined ? undefined : Release.fromJSON(flat.fallback);
  return { ...flat, release: Release.fromJSON(flat.release), fallback, before: undefined };
}
