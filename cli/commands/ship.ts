// `millrace ship`: build a repository, roll the result out, wait for the end of both.
import { Command } from "commander";
import {
  BuildState,
  type ShipRequest,
  type SubmitBuildRequest,
} from "../../proto/gen/millrace/v1/builds.ts";
import { EXIT } from "../../runtime/program/exit-codes.ts";
import { openProgress } from "../output/open-progress.ts";
import { print } from "../output/print.ts";
import { printFailedLog } from "../remote/build-log.ts";
import { collect, type WaitFlags, waitingCommand, waitSignal } from "../remote/command-options.ts";
import { openControlPlane } from "../remote/control-plane.ts";
import { endWithRollout } from "../ship/end-with-rollout.ts";
import { followBuild, followRollout, reportBuild, submit } from "../ship/ship-flow.ts";
import { readSource, type Source, type SourceFlags } from "../ship/source.ts";

export interface BuildFlags extends WaitFlags, SourceFlags {
  readonly service?: string;
  readonly rebuild: boolean;
  readonly requester?: string;
}

interface ShipFlags extends BuildFlags {
  readonly supersede: boolean;
  readonly urgent: boolean;
  readonly excludeRegion: string[];
}

/** The command. */
export function shipCommand(): Command {
  return buildFlags(new Command("ship"))
    .description("Build a git repository, roll the result out to its machines, and wait.")
    .option("--supersede", "end an open rollout of the service instead of waiting behind it", false)
    .option("--urgent", "its bytes go before those of other rollouts", false)
    .option("--exclude-region <name>", "leave a region out; repeatable", collect, [])
    .action((place: string, flags: ShipFlags) => ship(place, flags));
}

/** Flags of commands that build. */
export function buildFlags(command: Command): Command {
  return waitingCommand(command)
    .argument("<repository>", "a folder or a URL that git understands")
    .option("--ref <ref>", "branch, tag or SHA (default: HEAD)")
    .option("--recipe <file>", "recipe for a repository that has no millrace.yaml")
    .option("--service <name>", "the service that the recipe must be of")
    .option("--rebuild", "build again though this commit was built", false)
    .option("--requester <id>", "who asks; `millrace cancel --requester` lets go for it alone");
}

async function ship(place: string, flags: ShipFlags): Promise<void> {
  const source = await readSource(place, flags);
  const plane = openControlPlane(flags.addr);
  const progress = await openProgress(flags.json);
  let following = "builds";
  const signal = waitSignal(flags, () => `Follow it with: millrace ${following}`);
  try {
    const request = buildRequest(source, flags, {
      targets: {},
      overrideTargets: false,
      excludedRegions: flags.excludeRegion,
      supersede: flags.supersede,
      urgent: flags.urgent,
    });
    const { build, attached } = await submit(plane, request, signal);
    following = `builds ${build.id}`;
    if (attached) progress.say(`build ${build.id} of this commit was there already`);
    if (!flags.wait) return print(flags, reportBuild(build), `build ${build.id} is queued`);
    const built = await followBuild(plane, build.id, progress, signal);
    if (built.state !== BuildState.BUILD_STATE_SUCCEEDED || built.rollout === "") {
      progress.end();
      if (!flags.json) await printFailedLog(plane, built);
      process.exitCode = EXIT.error;
      return print(flags, reportBuild(built), "");
    }
    following = `rollouts ${built.rollout}`;
    const rollout = await followRollout(plane, built.rollout, progress, signal);
    progress.end();
    endWithRollout(flags, rollout, built);
  } finally {
    progress.end();
    plane.close();
  }
}

/** What is asked of the control plane; `ship` undefined: roll nothing out. */
export function buildRequest(
  source: Source,
  flags: BuildFlags,
  ship: ShipRequest | undefined,
): SubmitBuildRequest {
  return {
    repository: source.repository,
    ref: source.ref,
    recipe: source.recipe,
    service: flags.service ?? source.service ?? "",
    rebuild: flags.rebuild,
    ship,
    requester: flags.requester ?? "",
    overallTimeoutMs: 0,
  };
}
