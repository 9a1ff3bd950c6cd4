// `millrace build`: build a repository and wait; roll nothing out.
import { Command } from "commander";
import { BuildState } from "../../proto/gen/millrace/v1/builds.ts";
import { EXIT } from "../../runtime/program/exit-codes.ts";
import { openProgress } from "../output/open-progress.ts";
import { print } from "../output/print.ts";
import { printFailedLog } from "../remote/build-log.ts";
import { waitSignal } from "../remote/command-options.ts";
import { openControlPlane } from "../remote/control-plane.ts";
import { followBuild, reportBuild, submit } from "../ship/ship-flow.ts";
import { readSource } from "../ship/source.ts";
import { type BuildFlags, buildFlags, buildRequest } from "./ship.ts";

/** The command. */
export function buildCommand(): Command {
  return buildFlags(new Command("build"))
    .description("Build a git repository into a release, and wait.")
    .action(build);
}

async function build(place: string, flags: BuildFlags): Promise<void> {
  const source = await readSource(place, flags);
  const plane = openControlPlane(flags.addr);
  const progress = await openProgress(flags.json);
  let id = "";
  const signal = waitSignal(flags, () => `Follow it with: millrace builds ${id}`);
  try {
    const submitted = await submit(plane, buildRequest(source, flags, undefined), signal);
    id = submitted.build.id;
    if (submitted.attached) progress.say(`build ${id} of this commit was there already`);
    if (!flags.wait) return print(flags, reportBuild(submitted.build), `build ${id} is queued`);
    const built = await followBuild(plane, id, progress, signal);
    progress.end();
    const isDone = built.state === BuildState.BUILD_STATE_SUCCEEDED;
    if (!isDone && !flags.json) await printFailedLog(plane, built);
    process.exitCode = isDone ? EXIT.done : EXIT.error;
    print(flags, reportBuild(built), isDone ? `release ${built.release}` : "");
  } finally {
    progress.end();
    plane.close();
  }
}
