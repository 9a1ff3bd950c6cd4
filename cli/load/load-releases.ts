// The releases that a load run rolls out: built by the system's own worker from a repository of its own, a few bytes
// each, as it is sessions and commands that are loaded and not disks.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { BuildState } from "../../proto/gen/millrace/v1/builds.ts";
import { CommandError, EXIT } from "../../runtime/program/exit-codes.ts";
import { openProgress } from "../output/open-progress.ts";
import type { ControlPlane } from "../remote/control-plane.ts";
import { followBuild, submit } from "../ship/ship-flow.ts";
import { localGit } from "../up/local-git.ts";

/** Seconds since 1970 of the first commit. */
const FIRST_COMMIT_AT = 1_767_225_600;

const RECIPE = `service: load
build: { run: mkdir -p dist && cp number dist/number, output: dist }
activate: { hook: ["true"] }
`;

/** Builds so many releases, one after the other; gives their SHAs. Throws CommandError, or the signal's reason. */
export async function buildReleases(
  plane: ControlPlane,
  path: string,
  count: number,
  signal: AbortSignal,
): Promise<string[]> {
  mkdirSync(path, { recursive: true });
  writeFileSync(join(path, "millrace.yaml"), RECIPE);
  await localGit(path, ["init", "--quiet", "--initial-branch=main"]);
  const shas: string[] = [];
  for (let index = 0; index < count; index += 1) {
    writeFileSync(join(path, "number"), `${index}\n`);
    await localGit(path, ["add", "--all"]);
    await localGit(
      path,
      ["commit", "--quiet", "--message", `release ${index}`],
      FIRST_COMMIT_AT + index,
    );
    const sha = (await localGit(path, ["rev-parse", "HEAD"])).trim();
    await build(plane, path, sha, signal);
    shas.push(sha);
  }
  return shas;
}

async function build(
  plane: ControlPlane,
  repository: string,
  ref: string,
  signal: AbortSignal,
): Promise<void> {
  const request = {
    ...{ repository, ref, recipe: "", service: "", rebuild: false, requester: "" },
    ship: undefined,
    overallTimeoutMs: 0,
  };
  const submitted = await submit(plane, request, signal);
  const built = await followBuild(plane, submitted.build.id, await openProgress(true), signal);
  if (built.state === BuildState.BUILD_STATE_SUCCEEDED) return;
  throw new CommandError(
    EXIT.error,
    `build ${built.id} of a release to load with: ${built.message}`,
  );
}
