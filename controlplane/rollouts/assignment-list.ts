// What a service's machines should run, as a list of rules: newest first, one per distinct rule, the
// first that matches a machine is its own. It says how the list changes with a rollout's phases.
import { z } from "zod";
import type { AssignPhase } from "../../core/rollout/rollout-facts.ts";
import type { Labels, WaveRule } from "../../core/rollout/targets.ts";
import { AssignmentPhase, type ServiceAssignments } from "../../proto/gen/millrace/v1/fleet.ts";
import { Release } from "../../proto/gen/millrace/v1/release_format.ts";
import type { Entry } from "../../runtime/store/store.ts";
import type { RolloutRecord } from "./rollout-record.ts";

/** Rules of one service; an older one is forgotten. */
const RULES_MAX = 16;
/** Releases an agent keeps on disk. */
const KEEP_RELEASES = 3;

/** One rule. */
export interface AssignmentEntry {
  readonly rollout: string;
  readonly release: Release;
  readonly fallback: Release | undefined;
  readonly targets: Labels;
  readonly excludedRegions: readonly string[];
  readonly phase: "open" | "final" | "rollback" | "frozen";
  readonly waves: readonly WaveRule[];
  readonly paused: boolean;
  readonly traceparent: string;
  /** The last successful entry of the same rule, and where in the list it belongs. */
  readonly before: { readonly entry: AssignmentEntry; readonly index: number } | undefined;
}

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

/** What a service's machines under this rule run now, and so what they could go back to. */
export function settledRelease(
  list: readonly AssignmentEntry[],
  rule: Pick<AssignmentEntry, "targets" | "excludedRegions">,
): Release | undefined {
  const same = list.find((entry) => isSameRule(entry, rule));
  const settled = same === undefined ? undefined : settledEntry(same, 0)?.entry;
  return settled?.release ?? list.find(({ phase }) => phase === "final")?.release;
}

/** The list after a rollout has come to this phase. */
export function revised(
  list: readonly AssignmentEntry[],
  record: RolloutRecord,
  phase: AssignPhase,
): readonly AssignmentEntry[] {
  const { policy, excludedRegions, row } = record;
  const rule = { targets: policy.targets, excludedRegions };
  const index = list.findIndex((entry) => isSameRule(entry, rule));
  const existing = list[index];
  const others = list.filter((_, position) => position !== index);
  const own = existing?.rollout === record.id ? existing : undefined;
  const before = own === undefined ? existing && settledEntry(existing, index) : own.before;
  if (phase === "withdrawn" || phase === "restored") {
    if (own === undefined) return list;
    return before === undefined ? others : others.toSpliced(before.index, 0, before.entry);
  }
  const entry: AssignmentEntry = {
    ...rule,
    rollout: record.id,
    release: record.release,
    fallback: record.previous,
    phase,
    waves: row.waves.map(({ threshold }, wave) => {
      const { regions = [], labels = {} } = policy.waves[wave] ?? {};
      return { threshold, regions, labels };
    }),
    paused: row.paused,
    traceparent: record.traceparent,
    before: phase === "final" ? undefined : before,
  };
  return [entry, ...others].slice(0, RULES_MAX);
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

/** The entry itself if its rollout succeeded, else the one it took the place of. */
function settledEntry(entry: AssignmentEntry, index: number): AssignmentEntry["before"] {
  return entry.phase === "final" ? { entry, index } : entry.before;
}

function isSameRule(
  a: Pick<AssignmentEntry, "targets" | "excludedRegions">,
  b: Pick<AssignmentEntry, "targets" | "excludedRegions">,
): boolean {
  return ruleName(a) === ruleName(b);
}

function ruleName(rule: Pick<AssignmentEntry, "targets" | "excludedRegions">): string {
  const labels = Object.entries(rule.targets).sort(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify([labels, [...rule.excludedRegions].sort()]);
}

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
