// All checks of a cluster that its leader can make.
import type { ClusterFacts } from "./facts.ts";
import { type Finding, ordered } from "./finding.ts";
import { fleetChecks } from "./fleet-checks.ts";
import { storeChecks } from "./store-checks.ts";
import { workChecks } from "./work-checks.ts";

/** What is wrong; nothing where all is well. */
export function diagnose(facts: ClusterFacts): Finding[] {
  return ordered([...storeChecks(facts), ...fleetChecks(facts), ...workChecks(facts)]);
}

/** A store that went back: nothing is decided, so nothing else is worth a look. */
export function storeBehind(why: string): Finding {
  return {
    check: "store-behind",
    severity: "error",
    where: "store",
    what: `it went back, and nothing is decided: ${why}`,
    advice:
      "see what is missing with millrace leader, then go on with millrace leader --raise-incarnation",
  };
}
