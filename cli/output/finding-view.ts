// Findings of a diagnosis as `millrace doctor` shows them, and as JSON.
import { CHECKS, type Finding } from "../../core/diagnosis/finding.ts";

/** Where each check has a section of its name. */
const PAGE = "docs/operations.md";

/** A line for each finding. */
export function findingTable(findings: readonly Finding[]): string {
  if (findings.length === 0) return `nothing is wrong, of ${CHECKS.length} things looked at`;
  return findings.map(findingLine).join("\n");
}

/** A finding for --json, with the section that tells more. */
export function findingRecord(finding: Finding): Readonly<Record<string, string>> {
  return { ...finding, section: sectionOf(finding) };
}

function findingLine(finding: Finding): string {
  const { severity, where, what, advice } = finding;
  return `${severity.padEnd("warning".length)}  ${where}: ${what}; ${advice} (${sectionOf(finding)})`;
}

function sectionOf({ check }: Finding): string {
  return `${PAGE}#${check}`;
}
