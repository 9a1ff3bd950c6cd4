// What a diagnosis says: one trouble in one line, with where it is and what to do. Each check has a section of
// its name in docs/operations.md.

/** "error": something does not work, or soon will not. "warning": it works, but the next trouble will hurt. */
export type Severity = "error" | "warning";

/** Everything that is looked at. */
export const CHECKS = [
  "unreachable",
  "version-skew",
  "clock-skew",
  "no-leader",
  "store-away",
  "store-slow",
  "store-behind",
  "etcd-member",
  "etcd-alarm",
  "etcd-space",
  "origin",
  "few-relays",
  "relay-silent",
  "relay-full",
  "region-store",
  "region-lags",
  "agents-failing",
  "agents-away",
  "no-workers",
  "queue-stuck",
  "rollout-stuck",
  "no-failures-allowed",
  "disk-full",
] as const;

export type Check = (typeof CHECKS)[number];

/** One trouble. */
export interface Finding {
  readonly check: Check;
  readonly severity: Severity;
  /** What it concerns: "region eu-west", "store". */
  readonly where: string;
  /** What is wrong, with the figure and its limit. */
  readonly what: string;
  /** What to do. */
  readonly advice: string;
}

/** The findings with errors first, each kind in the order of the checks. */
export function ordered(findings: readonly Finding[]): Finding[] {
  const rank = ({ severity, check }: Finding): number =>
    (severity === "error" ? 0 : CHECKS.length) + CHECKS.indexOf(check);
  return findings.toSorted((a, b) => rank(a) - rank(b));
}
