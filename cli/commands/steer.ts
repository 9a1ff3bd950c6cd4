// `millrace pause`, `resume` and `abort`: one word to an open rollout.
import { Command } from "commander";
import type { Rollout } from "../../proto/gen/millrace/v1/rollouts.ts";
import { call } from "../../runtime/grpc/client.ts";
import { describeRollout } from "../output/describe.ts";
import { print } from "../output/print.ts";
import { type RemoteFlags, remoteCommand } from "../remote/command-options.ts";
import { type ControlPlane, openControlPlane } from "../remote/control-plane.ts";
import { reportRollout } from "../ship/ship-flow.ts";

const VERBS = {
  pause: {
    summary: "Grant no more permits and stop every clock; machines that switch finish.",
    send: ({ rollouts }: ControlPlane, id: string) => call(rollouts, rollouts.pauseRollout, { id }),
  },
  resume: {
    summary: "Let a paused rollout go on.",
    send: ({ rollouts }: ControlPlane, id: string) =>
      call(rollouts, rollouts.resumeRollout, { id }),
  },
  abort: {
    summary: "End a rollout where it stands; machines keep what they run.",
    send: ({ rollouts }: ControlPlane, id: string) => call(rollouts, rollouts.abortRollout, { id }),
  },
} as const;

/** The command of a verb. */
export function steerCommand(verb: keyof typeof VERBS): Command {
  const { summary, send } = VERBS[verb];
  return remoteCommand(new Command(verb))
    .description(summary)
    .argument("<rollout>", "rollout id, or the service")
    .action(async (id: string, flags: RemoteFlags) => {
      const plane = openControlPlane(flags.addr);
      try {
        const { rollout } = (await send(plane, id)) as { rollout?: Rollout };
        if (rollout === undefined) throw new Error(`the answer to ${verb} has no rollout`);
        const report = { ...reportRollout(rollout, undefined), ok: true, paused: rollout.paused };
        print(flags, report, describeRollout(rollout));
      } finally {
        plane.close();
      }
    });
}
