// What the permit desks of a simulated relay are told, from its messages, as relay/wire.ts reads protobuf.
import type { DeskAssignment, Standing } from "../../core/rollout/permit-facts.ts";
import type { DeskRule } from "../../core/rollout/relay-desks.ts";
import type { Assignments, Rule, Status } from "./messages.ts";

/** The rules of a service as its desks see them. */
export function deskRulesOf({ epoch, revision, rules }: Assignments): DeskRule[] {
  return rules.map((rule) => ({
    rollout: rule.rollout,
    targets: { labels: rule.targets, excludedRegions: rule.excludedRegions },
    assignment: deskAssignmentOf(rule, epoch, revision),
  }));
}

function deskAssignmentOf(rule: Rule, epoch: number, revision: number): DeskAssignment {
  const { phase, paused, release, fallback, waves } = rule;
  return {
    ...{ epoch, revision, phase, paused, waves },
    release: release.release,
    fallback: fallback?.release ?? "",
    answerMs: release.answerMs,
    isQuick: release.isQuick,
  };
}

/** What a machine says of a service as a desk sees it. */
export function standingOf({ report }: Status): Standing {
  const { rollout, running, phase, permit, error } = report;
  const nothing = { bytes: { relay: 0, peer: 0, local: 0 }, missingBytes: 0 };
  return { rollout, running, phase, permit, error, ...nothing };
}

/** The rule of a rollout. */
export function ruleOf(services: Iterable<Assignments>, rollout: string): Rule | undefined {
  for (const { rules } of services) {
    const rule = rules.find((one) => one.rollout === rollout);
    if (rule !== undefined) return rule;
  }
  return undefined;
}
