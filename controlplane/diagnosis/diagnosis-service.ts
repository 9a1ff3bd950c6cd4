// DiagnosisService: facts gathered, checked, and told as findings.
import { diagnose, storeBehind } from "../../core/diagnosis/diagnose.ts";
import type { Finding } from "../../core/diagnosis/finding.ts";
import {
  type DiagnosisServiceServer,
  Severity,
  type Finding as WireFinding,
} from "../../proto/gen/millrace/v1/diagnosis.ts";
import { unary } from "../../runtime/grpc/handlers.ts";
import type { Log } from "../../runtime/log.ts";
import { VERSION } from "../../runtime/version.ts";
import { type FactSources, gatherFacts } from "./gather-facts.ts";

/** The handlers of a term in which the leader decides. */
export function diagnosisService(sources: FactSources, log: Log): DiagnosisServiceServer {
  return serviceOf(async () => diagnose(await gatherFacts(sources)), log);
}

/** The handlers of a term in which nothing is decided, because the store went back; `why` as it was noticed. */
export function heldDiagnosisService(why: string, log: Log): DiagnosisServiceServer {
  return serviceOf(async () => [storeBehind(why)], log);
}

function serviceOf(find: () => Promise<Finding[]>, log: Log): DiagnosisServiceServer {
  return {
    diagnose: unary(log, async () => {
      const findings = (await find()).map(findingToWire);
      return { findings, version: VERSION, nowMs: Date.now() };
    }),
  };
}

function findingToWire({ severity, ...text }: Finding): WireFinding {
  const isError = severity === "error";
  return { ...text, severity: isError ? Severity.SEVERITY_ERROR : Severity.SEVERITY_WARNING };
}
