// How a command that waited for a rollout ends: its report, and the exit code that says whether it went
// well.
import type { Build } from "../../proto/gen/millrace/v1/builds.ts";
import { type Rollout, RolloutState } from "../../proto/gen/millrace/v1/rollouts.ts";
import { EXIT } from "../../runtime/program/exit-codes.ts";
import { print } from "../output/print.ts";
import { reportRollout } from "./ship-flow.ts";

/** Prints the report; `isWell` where another end than success is what was asked for. */
export function endWithRollout(
  flags: { readonly json: boolean },
  rollout: Rollout,
  build: Build | undefined,
  isWell = rollout.state === RolloutState.ROLLOUT_STATE_SUCCEEDED,
): void {
  process.exitCode = isWell ? EXIT.done : EXIT.rolloutFailed;
  print(flags, { ...reportRollout(rollout, build), ok: isWell }, "");
}
