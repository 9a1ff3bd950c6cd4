// One attempt at a build: fetch the commit, read its recipe, run its command, pack the output. Ends in a
// release or in a failure that says what to do; what it wrote on this machine is gone afterwards.
import { constants } from "node:fs";
import { lstat, mkdir, readFile, realpath, rm } from "node:fs/promises";
import { join, sep } from "node:path";
import type { Release } from "../proto/gen/millrace/v1/release_format.ts";
import type { BuildLease, WorkerServiceClient } from "../proto/gen/millrace/v1/workers.ts";
import type { BlobStore } from "../runtime/blobs/blob-store.ts";
import type { Log } from "../runtime/log.ts";
import { formatDuration } from "../runtime/recipe/duration.ts";
import { parseRecipe, type Recipe, RecipeError } from "../runtime/recipe/parse-recipe.ts";
import { inSpan } from "../runtime/telemetry.ts";
import { buildEnvironment } from "./build-environment.ts";
import type { BuildLog } from "./build-log.ts";
import { GitError } from "./git.ts";
import type { LeaseKeeper } from "./lease-keeper.ts";
import { PackError } from "./pack/pack-error.ts";
import { packRelease } from "./pack-release.ts";
import { runGroup } from "./process-group.ts";
import type { SourceMirrors } from "./source.ts";

const RECIPE_FILE = "millrace.yaml";

/** The attempt failed; `reason` in a word, the message for people. */
export class AttemptError extends Error {
  override readonly name = "AttemptError";
  readonly reason: "source" | "recipe" | "command" | "output" | "attempt";

  constructor(reason: AttemptError["reason"], message: string) {
    super(message);
    this.reason = reason;
  }
}

export interface AttemptOptions {
  readonly lease: BuildLease;
  readonly keeper: LeaseKeeper;
  readonly log: BuildLog;
  readonly programLog: Log;
  readonly client: WorkerServiceClient;
  readonly worker: string;
  readonly mirrors: SourceMirrors;
  readonly origin: BlobStore;
  readonly threads: number;
  /** Folder of this attempt alone. */
  readonly folder: string;
  /** Home of builds, kept. */
  readonly home: string;
  /** Folder for records of process groups. */
  readonly groups: string;
  /** Folder for what packing keeps between builds. */
  readonly cache: string;
}

/** Runs the attempt; rejects with AttemptError, or with the keeper's stop reason. */
export async function runAttempt(options: AttemptOptions): Promise<Release> {
  const { lease } = options;
  const parent = lease.traceparent;
  const source = join(options.folder, "source");
  await inSpan("build.fetch", { parent }, () => fetchSource(options, source));
  const recipe = await readRecipe(options, source);
  options.keeper.report({
    phase: "run",
    service: recipe.service,
    targets: recipe.rollout.targets,
  });
  await inSpan("build.run", { parent }, () => runCommand(options, recipe, source));
  options.keeper.report({ phase: "pack" });
  const output = await outputPath(source, recipe.output);
  return inSpan("build.pack", { parent }, () => pack(options, recipe, output));
}

async function fetchSource(options: AttemptOptions, source: string): Promise<void> {
  const { lease, log, mirrors, keeper } = options;
  log.line(`fetching ${lease.sha} of ${lease.repository}`);
  try {
    const onOutput = (text: string): void => log.line(text.trimEnd());
    const { signal } = keeper;
    await mirrors.checkOut(lease.repository, lease.sha, source, { signal, onOutput });
  } catch (error) {
    if (!(error instanceof GitError)) throw error;
    throw new AttemptError("source", `cannot fetch ${lease.sha}: ${error.message}`);
  }
}

async function readRecipe(options: AttemptOptions, source: string): Promise<Recipe> {
  const { lease } = options;
  const text = lease.recipe === "" ? await committedRecipe(source, lease) : lease.recipe;
  try {
    const recipe = parseRecipe(text, RECIPE_FILE);
    if (lease.service === "" || lease.service === recipe.service) return recipe;
    const problem = `the recipe is of service "${recipe.service}", asked for "${lease.service}"`;
    throw new AttemptError("recipe", problem);
  } catch (error) {
    if (error instanceof RecipeError) throw new AttemptError("recipe", error.message);
    throw error;
  }
}

async function committedRecipe(source: string, lease: BuildLease): Promise<string> {
  try {
    return await readFile(join(source, RECIPE_FILE), {
      encoding: "utf8",
      flag: constants.O_RDONLY | constants.O_NOFOLLOW,
    });
  } catch (error) {
    const problem =
      (error as NodeJS.ErrnoException).code === "ENOENT"
        ? `no ${RECIPE_FILE} at ${lease.sha}; commit one, or pass --recipe FILE`
        : `cannot read ${RECIPE_FILE} at ${lease.sha}: ${(error as Error).message}`;
    throw new AttemptError("recipe", problem);
  }
}

async function runCommand(options: AttemptOptions, recipe: Recipe, source: string): Promise<void> {
  const { lease, log, folder, keeper } = options;
  const temporary = join(folder, "tmp");
  await mkdir(temporary, { recursive: true });
  log.line(`running ${recipe.run}`);
  const env = buildEnvironment({
    build: lease.build,
    service: recipe.service,
    sha: lease.sha,
    home: options.home,
    temporary,
  });
  const record = join(options.groups, `${lease.build}.${lease.attempt}.json`);
  const argv = ["/bin/sh", "-c", recipe.run] as const;
  const end = await runGroup(
    { argv: [...argv], cwd: source, env, output: log.file, record },
    recipe.timeoutMs,
    keeper.signal,
  );
  switch (end.kind) {
    case "exited":
      if (end.code === 0) return;
      throw new AttemptError("command", `the build's command ended with ${end.code}; see its log`);
    case "signalled":
      throw new AttemptError("command", `the build's command was ended by ${end.signal}`);
    case "timed-out": {
      const limit = formatDuration(recipe.timeoutMs);
      throw new AttemptError("attempt", `the build's command took longer than ${limit}`);
    }
    case "aborted":
      throw keeper.signal.reason;
    default:
      end satisfies never;
  }
}

async function pack(options: AttemptOptions, recipe: Recipe, output: string): Promise<Release> {
  options.log.line(`packing ${recipe.output}`);
  try {
    const release = await packRelease({ ...options, recipe, output });
    const { bytes, packedBytes, entries } = release;
    options.log.line(`packed ${entries} entries, ${bytes} bytes; ${packedBytes} bytes are new`);
    return release;
  } catch (error) {
    if (error instanceof PackError) throw new AttemptError("output", error.message);
    throw error;
  }
}

/** The real path of the output; it may not lie outside the checkout. */
async function outputPath(source: string, output: string): Promise<string> {
  const path = join(source, output);
  const root = await realpath(source);
  let real: string;
  try {
    await lstat(path);
    real = await realpath(path);
  } catch {
    throw new AttemptError("output", `the build left no "${output}" (build.output)`);
  }
  if (real !== root && !real.startsWith(root + sep)) {
    throw new AttemptError("output", `"${output}" (build.output) lies outside the checkout`);
  }
  if (real === root) {
    // The checkout's own .git is not part of what is shipped.
    await rm(join(source, ".git"), { recursive: true, force: true });
  }
  return real;
}
