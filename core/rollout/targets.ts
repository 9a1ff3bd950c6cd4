// Who a rollout and each of its waves are for, as a rule evaluated at leader, relay and agent alike.

export type Labels = Readonly<Record<string, string>>;

/** The machine as rules see it. */
export interface Candidate {
  readonly agentId: string;
  readonly region: string;
  readonly labels: Labels;
}

/** A rollout's targets: every label must match; no label means all machines. */
export interface Targets {
  readonly labels: Labels;
  readonly excludedRegions: readonly string[];
}

/** A wave as drawn: machines that pass its filter and whose hash is below the threshold. */
export interface WaveRule {
  readonly threshold: number;
  readonly regions: readonly string[];
  readonly labels: Labels;
}

/** Whether every wanted label is on the machine with the same value. */
function labelsMatch(labels: Labels, wanted: Labels): boolean {
  for (const [name, value] of Object.entries(wanted)) {
    if (!Object.hasOwn(labels, name) || labels[name] !== value) return false;
  }
  return true;
}

/** Whether a rollout is for this machine. */
export function isTarget(candidate: Candidate, targets: Targets): boolean {
  if (targets.excludedRegions.includes(candidate.region)) return false;
  return labelsMatch(candidate.labels, targets.labels);
}

/** Whether two rules are written alike, and so for the same machines. */
export function areSame(one: Targets, other: Targets): boolean {
  return written(one) === written(other);
}

function written({ labels, excludedRegions }: Targets): string {
  return JSON.stringify([Object.entries(labels).sort(), excludedRegions]);
}

/** Whether a machine passes a wave's filter, whatever its hash. */
export function passesFilter(candidate: Candidate, rule: Omit<WaveRule, "threshold">): boolean {
  if (rule.regions.length > 0 && !rule.regions.includes(candidate.region)) return false;
  return labelsMatch(candidate.labels, rule.labels);
}

/** Index of the first wave that a machine with this hash is in; undefined: none yet. */
export function waveOf(
  candidate: Candidate,
  hash: number,
  waves: readonly WaveRule[],
): number | undefined {
  const index = waves.findIndex((rule) => hash < rule.threshold && passesFilter(candidate, rule));
  return index === -1 ? undefined : index;
}
