// `millrace rollback`: go back to the release before, and wait until every machine is there.
import { randomUUID } from "node:crypto";
import { Command } from "commander";
import { RolloutState } from "../../proto/gen/millrace/v1/rollouts.ts";
import { call } from "../../runtime/grpc/client.ts";
import { openProgress } from "../output/open-progress.ts";
import { print } from "../output/print.ts";
import { type WaitFlags, waitingCommand, waitSignal } from "../remote/command-options.ts";
import { openControlPlane } from "../remote/control-plane.ts";
import { patientCall } from "../remote/patient-call.ts";
import { endWithRollout } from "../ship/end-with-rollout.ts";
import { followRollout, reportRollout } from "../ship/ship-flow.ts";

/** The command. */
export function rollbackCommand(): Command {
  return waitingCommand(new Command("rollback"))
    .description(
      "Go back: an open rollout is undone, an ended one is followed by the release before.",
    )
    .argument("<rollout>", "rollout id, or the service")
    .action(rollback);
}

async function rollback(id: string, flags: WaitFlags): Promise<void> {
  const plane = openControlPlane(flags.addr);
  const progress = await openProgress(flags.json);
  try {
    const request = { id, idempotencyKey: randomUUID() };
    const { rollout } = await patientCall(plane, () =>
      call(plane.rollouts, plane.rollouts.rollBack, request),
    );
    if (rollout === undefined) throw new Error("the answer to a roll-back has no rollout");
    if (!flags.wait) {
      return print(flags, reportRollout(rollout, undefined), `rollout ${rollout.id} goes back`);
    }
    const signal = waitSignal(flags, () => `Follow it with: millrace rollouts ${rollout.id}`);
    const ended = await followRollout(plane, rollout.id, progress, signal);
    progress.end();
    // Both ways of going back end well: the same rollout undone, or a new one to the release before.
    const isBack =
      ended.state === RolloutState.ROLLOUT_STATE_ROLLED_BACK ||
      ended.state === RolloutState.ROLLOUT_STATE_SUCCEEDED;
    endWithRollout(flags, ended, undefined, isBack);
  } finally {
    progress.end();
    plane.close();
  }
}
