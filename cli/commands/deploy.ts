// `millrace deploy`: roll an existing release out, or say what that would do (`--plan`).
import { randomUUID } from "node:crypto";
import { Command } from "commander";
import type { PlanRolloutResponse } from "../../proto/gen/millrace/v1/rollouts.ts";
import { call } from "../../runtime/grpc/client.ts";
import { formatBytes } from "../../runtime/program/byte-amount.ts";
import { CommandError, EXIT } from "../../runtime/program/exit-codes.ts";
import { formatTable, shortId } from "../output/format.ts";
import { openProgress } from "../output/open-progress.ts";
import { print } from "../output/print.ts";
import { collect, type WaitFlags, waitingCommand, waitSignal } from "../remote/command-options.ts";
import { type ControlPlane, openControlPlane } from "../remote/control-plane.ts";
import { patientCall, patientRead } from "../remote/patient-call.ts";
import { endWithRollout } from "../ship/end-with-rollout.ts";
import { followRollout, reportRollout } from "../ship/ship-flow.ts";

interface Flags extends WaitFlags {
  readonly service?: string;
  readonly plan: boolean;
  readonly revision?: string;
  readonly supersede: boolean;
  readonly excludeRegion: string[];
}

/** The command. */
export function deployCommand(): Command {
  return waitingCommand(new Command("deploy"))
    .description("Roll a release out to its machines, and wait.")
    .argument("<release>", "SHA or release id, whole or short")
    .option("--service <name>", "service, where the SHA has releases of several")
    .option("--plan", "change nothing; exit code 3 where there is something to change", false)
    .option("--revision <n>", "revision of a plan: refused (6) where the service has moved since")
    .option("--supersede", "end an open rollout of the service instead of waiting behind it", false)
    .option("--exclude-region <name>", "leave a region out; repeatable", collect, [])
    .action(deploy);
}

async function deploy(release: string, flags: Flags): Promise<void> {
  const plane = openControlPlane(flags.addr);
  try {
    if (flags.plan) await plan(plane, release, flags);
    else await start(plane, release, flags);
  } finally {
    plane.close();
  }
}

async function plan(plane: ControlPlane, release: string, flags: Flags): Promise<void> {
  const service = flags.service ?? "";
  const answer = await patientRead(plane, () =>
    call(plane.rollouts, plane.rollouts.planRollout, {
      service,
      release,
      policy: undefined,
      excludedRegions: flags.excludeRegion,
    }),
  );
  process.exitCode = answer.noChange ? EXIT.done : EXIT.planHasChanges;
  print(flags, { ok: true, changes: !answer.noChange, ...answer }, describePlan(answer));
}

function describePlan(plan: PlanRolloutResponse): string {
  const { release } = plan;
  if (plan.noChange) return `every machine is to run ${shortId(release?.sha ?? "")} already`;
  const rows = plan.regions.map((region) => [
    region.region,
    String(region.matching),
    `${formatBytes(region.replicatedBytes)} of ${formatBytes(region.neededBytes)}`,
    region.excluded ? "left out" : "",
  ]);
  const waves = plan.waveSizes.map((size, index) => `${index + 1}: ${size}`).join(", ");
  const open = plan.openRollout === "" ? "" : `\nopen rollout  ${plan.openRollout}`;
  const warnings = plan.warnings.map((warning) => `\nwarning       ${warning}`).join("");
  return `service       ${release?.service}
from          ${shortId(plan.currentSha)}
to            ${shortId(release?.sha ?? "")} (release ${shortId(release?.release ?? "")})
waves         ${waves} machines, cumulative${open}${warnings}
revision      ${plan.revision}

${formatTable(["REGION", "MACHINES", "BYTES THERE", ""], rows)}

Apply it: millrace deploy ${shortId(release?.sha ?? "")} --revision ${plan.revision}`;
}

async function start(plane: ControlPlane, release: string, flags: Flags): Promise<void> {
  const revision = flags.revision === undefined ? 0 : Number(flags.revision);
  if (!Number.isSafeInteger(revision)) {
    throw new CommandError(EXIT.usage, `--revision ${flags.revision}: expected a plan's revision`);
  }
  const request = {
    service: flags.service ?? "",
    release,
    policy: undefined,
    excludedRegions: flags.excludeRegion,
    supersede: flags.supersede,
    revision,
    idempotencyKey: randomUUID(),
  };
  const { rollout } = await patientCall(plane, () =>
    call(plane.rollouts, plane.rollouts.startRollout, request),
  );
  if (rollout === undefined) throw new Error("the answer to a start has no rollout");
  if (!flags.wait) {
    return print(flags, reportRollout(rollout, undefined), `rollout ${rollout.id} has begun`);
  }
  const progress = await openProgress(flags.json);
  const signal = waitSignal(flags, () => `Follow it with: millrace rollouts ${rollout.id}`);
  try {
    const ended = await followRollout(plane, rollout.id, progress, signal);
    progress.end();
    endWithRollout(flags, ended, undefined);
  } finally {
    progress.end();
  }
}
