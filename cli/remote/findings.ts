// Findings of a diagnosis as the API sends them.
import type { Check, Finding } from "../../core/diagnosis/finding.ts";
import { Severity, type Finding as WireFinding } from "../../proto/gen/millrace/v1/diagnosis.ts";

/** A finding of the API; a check that is not known here was added later, and is shown as it is. */
export function findingOf({ check, severity, ...text }: WireFinding): Finding {
  const isError = severity === Severity.SEVERITY_ERROR;
  return { ...text, check: check as Check, severity: isError ? "error" : "warning" };
}
