// What a service's machines should run, as a list of rules: newest first, one per distinct rule, the
// first that matches a machine is its own. It says how the list changes with a rollout's phases, and what
// machines would go back to; how it is written down is not its business.
import type { AssignPhase } from "./rollout-facts.ts";
import type { RolloutRow } from "./rollout-row.ts";
import type { Labels, WaveRule } from "./targets.ts";

/** Rules of one service; an older one is forgotten. */
const RULES_MAX = 16;

/** One rule; `Release` is whatever names what machines run. */
export interface AssignmentRule<Release> {
  readonly rollout: string;
  readonly release: Release;
  readonly fallback: Release | undefined;
  readonly targets: Labels;
  readonly excludedRegions: readonly string[];
  readonly phase: "open" | "final" | "rollback" | "frozen";
  readonly waves: readonly WaveRule[];
  readonly paused: boolean;
  readonly traceparent: string;
  /** Its packs go before others, until the rollout has ended. */
  readonly urgent: boolean;
  /** The last successful entry of the same rule, frozen where its service stands still, and where in the list it belongs. */
  readonly before: { readonly entry: AssignmentRule<Release>; readonly index: number } | undefined;
}

/** What of a rollout makes its rule. */
export interface AssignedRollout<Release> {
  readonly id: string;
  readonly release: Release;
  /** What the machines go back to; undefined: nothing. */
  readonly previous: Release | undefined;
  readonly policy: {
    readonly targets: Labels;
    readonly waves: readonly Omit<WaveRule, "threshold">[];
    readonly urgent?: boolean;
  };
  readonly excludedRegions: readonly string[];
  readonly traceparent: string;
  readonly row: Pick<RolloutRow, "waves" | "paused">;
}

/** Whom a rule is for. */
type Whom = { readonly targets: Labels; readonly excludedRegions: readonly string[] };

/** What a service's machines under this rule run now, and so what they could go back to. */
export function settledRelease<Release>(
  list: readonly AssignmentRule<Release>[],
  rule: Whom,
): Release | undefined {
  const same = list.find((entry) => isSameRule(entry, rule));
  const settled = same === undefined ? undefined : settledEntry(same, 0)?.entry;
  return settled?.release ?? list.find(({ phase }) => phase === "final")?.release;
}

/** The list after a rollout has come to this phase. */
export function revised<Release>(
  list: readonly AssignmentRule<Release>[],
  rollout: AssignedRollout<Release>,
  phase: AssignPhase,
): readonly AssignmentRule<Release>[] {
  const { policy, excludedRegions, row } = rollout;
  const rule = { targets: policy.targets, excludedRegions };
  const index = list.findIndex((entry) => isSameRule(entry, rule));
  const existing = list[index];
  const others = list.filter((_, position) => position !== index);
  const own = existing?.rollout === rollout.id ? existing : undefined;
  const before = own === undefined ? existing && settledEntry(existing, index) : own.before;
  if (phase === "withdrawn" || phase === "restored") {
    if (own === undefined) return list;
    return before === undefined ? others : others.toSpliced(before.index, 0, reinstated(before));
  }
  const entry: AssignmentRule<Release> = {
    ...rule,
    rollout: rollout.id,
    release: rollout.release,
    fallback: rollout.previous,
    phase,
    waves: row.waves.map(({ threshold }, wave) => {
      const { regions = [], labels = {} } = policy.waves[wave] ?? {};
      return { threshold, regions, labels };
    }),
    paused: row.paused,
    traceparent: rollout.traceparent,
    urgent: policy.urgent === true && phase !== "final" && phase !== "frozen",
    before: phase === "final" ? undefined : before,
  };
  return [entry, ...others].slice(0, RULES_MAX);
}

/** The entry itself if its rollout succeeded, else the one it took the place of. */
export function settledEntry<Release>(
  entry: AssignmentRule<Release>,
  index: number,
): AssignmentRule<Release>["before"] {
  return entry.phase === "final" ? { entry, index } : entry.before;
}

/** One that is frozen is not what machines go to, but still what they could go back to. */
function reinstated<Release>(
  before: NonNullable<AssignmentRule<Release>["before"]>,
): AssignmentRule<Release> {
  return before.entry.phase === "frozen" ? { ...before.entry, before } : before.entry;
}

function isSameRule(a: Whom, b: Whom): boolean {
  return ruleName(a) === ruleName(b);
}

function ruleName(rule: Whom): string {
  const labels = Object.entries(rule.targets).sort(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify([labels, [...rule.excludedRegions].sort()]);
}
