// The way of a ship as a command follows it: submit, build until it ends, rollout until it ends. `ship`,
// `build`, `deploy` and `demo` run this same flow.
import { randomUUID } from "node:crypto";
import type { Build, SubmitBuildRequest } from "../../proto/gen/millrace/v1/builds.ts";
import type { Rollout } from "../../proto/gen/millrace/v1/rollouts.ts";
import { call } from "../../runtime/grpc/client.ts";
import { totalsOf } from "../output/describe.ts";
import type { Progress } from "../output/progress.ts";
import type { ControlPlane } from "../remote/control-plane.ts";
import { follow } from "../remote/follow.ts";
import { patientCall } from "../remote/patient-call.ts";
import {
  buildHasEnded,
  buildStateName,
  rolloutHasEnded,
  rolloutStateName,
  secondsBetween,
} from "../remote/states.ts";

/** git ls-remote at the control plane has 10 s. */
const SUBMIT_MS_MAX = 20_000;

/** What a waiting command prints with --json; absent parts did not come about. */
export interface ShipReport {
  readonly ok: boolean;
  readonly service: string;
  readonly sha: string;
  readonly release: string;
  readonly build?: Readonly<Record<string, unknown>>;
  readonly rollout?: Readonly<Record<string, unknown>>;
  readonly agents?: { readonly total: number; readonly active: number };
  readonly bytes?: Readonly<Record<string, number>>;
}

/** Asks for a build, once whatever the way there; throws CommandError, or the signal's reason. */
export async function submit(
  plane: ControlPlane,
  request: SubmitBuildRequest,
  signal: AbortSignal,
): Promise<{ readonly build: Build; readonly attached: boolean; readonly requester: string }> {
  // A requester who asks again is attached to what it began.
  const requester = request.requester === "" ? `q-${randomUUID()}` : request.requester;
  const options = { deadlineMs: SUBMIT_MS_MAX, signal };
  const answer = await patientCall({ address: plane.address, signal }, () =>
    call(plane.builds, plane.builds.submitBuild, { ...request, requester }, options),
  );
  if (answer.build === undefined) throw new Error("the answer to a submit has no build");
  return { build: answer.build, attached: answer.attached, requester: answer.requester };
}

/** Follows a build to its end. */
export function followBuild(
  plane: ControlPlane,
  id: string,
  progress: Progress,
  signal: AbortSignal,
): Promise<Build> {
  return follow<Build>({
    open: () => plane.builds.watchBuild({ id }),
    read: (message) => (message as { build?: Build }).build,
    hasEnded: buildHasEnded,
    onState: (build) => progress.build(build),
    address: plane.address,
    signal,
  });
}

/** Follows a rollout to its end. */
export function followRollout(
  plane: ControlPlane,
  id: string,
  progress: Progress,
  signal: AbortSignal,
): Promise<Rollout> {
  return follow<Rollout>({
    open: () => plane.rollouts.watchRollout({ id }),
    read: (message) => (message as { rollout?: Rollout }).rollout,
    hasEnded: rolloutHasEnded,
    onState: (rollout) => progress.rollout(rollout),
    address: plane.address,
    signal,
  });
}

/** The report of a build alone, or of a build that has no rollout because it failed. */
export function reportBuild(build: Build): ShipReport {
  const state = buildStateName(build.state);
  return {
    ok: state === "succeeded",
    service: build.service,
    sha: build.sha,
    release: build.release,
    build: {
      id: build.id,
      state,
      seconds: secondsBetween(build.createdAtMs, build.endedAtMs),
      ...(build.reason !== "" && { reason: build.reason, message: build.message }),
    },
    bytes: { artifact: build.outputBytes, packed: build.packedBytes },
  };
}

/** The report of a rollout, and of the build before it where there was one. */
export function reportRollout(rollout: Rollout, build: Build | undefined): ShipReport {
  const totals = totalsOf(rollout);
  const state = rolloutStateName(rollout.state);
  return {
    ok: state === "succeeded",
    service: rollout.service,
    sha: rollout.sha,
    release: rollout.release,
    ...(build !== undefined && { build: reportBuild(build).build }),
    rollout: {
      id: rollout.id,
      state,
      seconds: secondsBetween(rollout.createdAtMs, rollout.endedAtMs),
      ...(rollout.reason !== "" && { reason: rollout.reason, message: rollout.message }),
    },
    agents: { total: totals.matching, active: totals.active },
    bytes: {
      artifact: rollout.artifactBytes,
      packed: build?.packedBytes ?? rollout.packedBytes,
      ...totals.bytes,
    },
  };
}
