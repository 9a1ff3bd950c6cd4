// `millrace deploy`: roll an existing release out, or say what that would do (`--plan`).
import { randomUUID } from "node:crypto";
import { Command } from "commander";
import { call } from "../../runtime/grpc/client.ts";
import { CommandError, EXIT } from "../../runtime/program/exit-codes.ts";
import { rate } from "../../runtime/program/rate-limits.ts";
import { openProgress } from "../output/open-progress.ts";
import { describePlan } from "../output/plan-view.ts";
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
  readonly urgent: boolean;
  readonly excludeRegion: string[];
  readonly machineRate?: number;
  readonly machineUpRate?: number;
  readonly relayRate?: number;
  readonly wanRate?: number;
}

/** The command. */
export function deployCommand(): Command {
  return waitingCommand(new Command("deploy"))
    .description("Roll a release out to its machines, and wait.")
    .argument("<release>", "SHA or release id, whole or short")
    .option("--service <name>", "service, where the SHA has releases of several")
    .option("--plan", "change nothing; exit code 3 where there is something to change", false)
    .option("--machine-rate <rate>", "a plan takes a machine's NIC for 1gbit, or this", rate)
    .option("--machine-up-rate <rate>", "what it sends on average, where that is less", rate)
    .option("--relay-rate <rate>", "a relay's for 10gbit, or this", rate)
    .option("--wan-rate <rate>", "the way from the origin into a region for 10gbit, or this", rate)
    .option("--revision <n>", "revision of a plan: refused (6) where the service has moved since")
    .option("--supersede", "end an open rollout of the service instead of waiting behind it", false)
    .option("--urgent", "its bytes go before those of other rollouts", false)
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
      rates: {
        machine: flags.machineRate ?? 0,
        machineUp: flags.machineUpRate ?? 0,
        relay: flags.relayRate ?? 0,
        wan: flags.wanRate ?? 0,
      },
    }),
  );
  process.exitCode = answer.noChange ? EXIT.done : EXIT.planHasChanges;
  print(flags, { ok: true, changes: !answer.noChange, ...answer }, describePlan(answer));
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
    urgent: flags.urgent,
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
