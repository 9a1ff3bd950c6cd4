// `millrace pause`, `resume` and `abort`: one word to an open rollout, said again where the control
// plane died of it.
import { Command } from "commander";
import type { Rollout } from "../../proto/gen/millrace/v1/rollouts.ts";
import { call } from "../../runtime/grpc/client.ts";
import { describeRollout } from "../output/describe.ts";
import { print } from "../output/print.ts";
import { type RemoteFlags, remoteCommand } from "../remote/command-options.ts";
import { type ControlPlane, withControlPlane } from "../remote/control-plane.ts";
import { patientCall } from "../remote/patient-call.ts";
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
    .action((name: string, flags: RemoteFlags) =>
      withControlPlane(flags.addr, async (plane) => {
        const id = await idOf(plane, name);
        const answer = await patientCall<{ rollout?: Rollout }>(plane, () => send(plane, id));
        const rollout = expectRollout(answer.rollout, verb);
        const report = { ...reportRollout(rollout, undefined), ok: true, paused: rollout.paused };
        print(flags, report, describeRollout(rollout));
      }),
    );
}

/** A service's name may mean another rollout when it is said again; an id does not. */
async function idOf(plane: ControlPlane, name: string): Promise<string> {
  const { rollout } = await patientCall(plane, () =>
    call(plane.rollouts, plane.rollouts.getRollout, { id: name }),
  );
  return expectRollout(rollout, "get").id;
}

function expectRollout(rollout: Rollout | undefined, verb: string): Rollout {
  if (rollout === undefined) throw new Error(`the answer to ${verb} has no rollout`);
  return rollout;
}
