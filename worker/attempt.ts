// One attempt at a build: fetch the commit, read its recipe, run its command, pack the output. Ends in a
// release or in a failure that says what to do; what it wrote on this machine is gone afterwards.
import { constants } from "node:fs";
import { lstat, mkdir, open, realpath, rm, statfs } from "node:fs/promises";
import { join, sep } from "node:path";
import type { Release } from "../proto/gen/millrace/v1/release_format.ts";
import type { BuildLease, WorkerServiceClient } from "../proto/gen/millrace/v1/workers.ts";
import type { BlobStore } from "../runtime/blobs/blob-store.ts";
import type { Log } from "../runtime/log.ts";
import { formatDuration } from "../runtime/recipe/duration.ts";
import { parseRecipe, type Recipe } from "../runtime/recipe/parse-recipe.ts";
import { RecipeError, YAML_BYTES_MAX } from "../runtime/recipe/parse-yaml.ts";
import { inSpan } from "../runtime/telemetry.ts";
import { buildEnvironment } from "./build-environment.ts";
import type { BuildLog } from "./build-log.ts";
import { GitError } from "./git.ts";
import type { LeaseKeeper } from "./lease-keeper.ts";
import { PackError } from "./pack/pack-error.ts";
import { packRelease } from "./pack-release.ts";
import { type GroupCommand, runGroup } from "./process-group.ts";
import { NoCommitError, type SourceMirrors, shownRepository } from "./source.ts";

const RECIPE_FILE = "millrace.yaml";

/** How git says that the disk is full. */
const DISK_FULL = /No space left on device|Disk quota exceeded/;

/** A disk with less than this left counts as full: what failed on it probably failed for that. */
const FREE_BYTES_MIN = 1024 * 1024;

/** The attempt failed; `reason` in a word, the message for people. */
export class AttemptError extends Error {
  override readonly name = "AttemptError";
  readonly reason: "source" | "recipe" | "command" | "output" | "attempt" | "worker";

  constructor(reason: AttemptError["reason"], message: string) {
    super(message);
    this.reason = reason;
  }
}

export interface AttemptOptions {
  readonly lease: BuildLease;
  /** Trace context of the attempt. */
  readonly traceparent: string;
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
  /** Folder of the homes of builds, one for each service, kept. */
  readonly home: string;
  /** Folder for records of process groups. */
  readonly groups: string;
  /** Folder for what packing keeps between builds. */
  readonly cache: string;
}

/** Runs the attempt; rejects with AttemptError, or with the keeper's stop reason. */
export async function runAttempt(options: AttemptOptions): Promise<Release> {
  const parent = options.traceparent;
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
  const { lease, log, mirrors, keeper, worker } = options;
  const { repository, sha } = lease;
  checkSource(repository, sha);
  log.line(`fetching ${sha} of ${shownRepository(repository)}`);
  try {
    const onOutput = (text: string): void => log.line(text.trimEnd());
    const { signal } = keeper;
    await mirrors.checkOut(repository, sha, source, { worker, signal, onOutput });
  } catch (error) {
    if (error instanceof NoCommitError) throw new AttemptError("source", error.message);
    if (!(error instanceof GitError)) throw error;
    const message = `cannot fetch ${sha}: ${error.message}`;
    const isFull = DISK_FULL.test(message) || (await isDiskFull(options.folder));
    if (!isFull) throw new AttemptError("source", message);
    throw new AttemptError("worker", `the worker's disk is full: ${message}`);
  }
}

/** What reaches git's command line from outside: neither can be taken for an option or for more. */
function checkSource(repository: string, sha: string): void {
  if (!/^[0-9a-f]{40}$/.test(sha)) {
    throw new AttemptError("source", `${JSON.stringify(sha)} is no full SHA of 40 hex digits`);
  }
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what it is about.
  if (repository.startsWith("-") || /[\u0000-\u001f\u007f]/.test(repository)) {
    const name = JSON.stringify(repository);
    throw new AttemptError("source", `the repository ${name} is neither a URL nor a path`);
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
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW;
  try {
    await using file = await open(join(source, RECIPE_FILE), flags);
    // One byte more than allowed is enough for the parser to refuse it.
    const buffer = Buffer.alloc(YAML_BYTES_MAX + 1);
    const { bytesRead } = await file.read(buffer, 0, buffer.length, 0);
    return buffer.toString("utf8", 0, bytesRead);
  } catch (error) {
    throw new AttemptError("recipe", recipeProblem(error as NodeJS.ErrnoException, lease.sha));
  }
}

function recipeProblem(error: NodeJS.ErrnoException, sha: string): string {
  switch (error.code) {
    case "ENOENT":
      return `no ${RECIPE_FILE} at ${sha}; commit one, or pass --recipe FILE`;
    case "ELOOP":
      return `${RECIPE_FILE} at ${sha} is a symlink; commit the file itself`;
    case "EISDIR":
      return `${RECIPE_FILE} at ${sha} is a folder; commit a file`;
    default:
      return `cannot read ${RECIPE_FILE} at ${sha}: ${error.message}`;
  }
}

async function runCommand(options: AttemptOptions, recipe: Recipe, source: string): Promise<void> {
  const { log, keeper } = options;
  log.line(`running ${recipe.run}`);
  const end = await runGroup(
    await groupCommand(options, recipe, source),
    recipe.timeoutMs,
    keeper.signal,
  );
  switch (end.kind) {
    case "exited": {
      if (end.code === 0) return;
      const what = `the build's command ended with ${end.code}`;
      if (!(await isDiskFull(options.folder))) {
        throw new AttemptError("command", `${what}; its log says why`);
      }
      throw new AttemptError("command", `${what}, and the worker's disk is full`);
    }
    case "signalled":
      throw new AttemptError("command", `the build's command was ended by ${end.signal}`);
    case "timed-out": {
      const limit = formatDuration(recipe.timeoutMs);
      const advice = "raise build.timeout if it needs more";
      throw new AttemptError(
        "attempt",
        `the build's command took longer than ${limit} and was ended; ${advice}`,
      );
    }
    case "aborted":
      throw keeper.signal.reason;
    default:
      end satisfies never;
  }
}

async function groupCommand(
  options: AttemptOptions,
  recipe: Recipe,
  source: string,
): Promise<GroupCommand> {
  const { lease, log, folder, worker } = options;
  const { build, attempt, sha } = lease;
  const { service } = recipe;
  const temporary = join(folder, "tmp");
  const home = join(options.home, service);
  for (const path of [temporary, home]) await mkdir(path, { recursive: true });
  const env = buildEnvironment({ worker, build, attempt, service, sha, home, temporary });
  return {
    argv: ["/bin/sh", "-c", recipe.run],
    cwd: source,
    env,
    output: log.file,
    record: join(options.groups, `${build}.${attempt}.json`),
    mark: `MILLRACE_ATTEMPT=${env["MILLRACE_ATTEMPT"]}`,
  };
}

async function pack(options: AttemptOptions, recipe: Recipe, output: string): Promise<Release> {
  options.log.line(`packing ${recipe.output}`);
  try {
    const release = await packRelease({ ...options, recipe, output });
    const { bytes, packedBytes, entries } = release;
    options.log.line(`packed ${entries} entries, ${bytes} bytes; ${packedBytes} bytes are new`);
    return release;
  } catch (error) {
    if (!(error instanceof PackError)) throw error;
    // Where the checkout lies on this machine is of no use to who reads it.
    const message = error.message.replaceAll(output, JSON.stringify(recipe.output));
    throw new AttemptError("output", message);
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
    throw new AttemptError("output", `the build left no ${JSON.stringify(output)} (build.output)`);
  }
  if (real !== root && !real.startsWith(root + sep)) {
    const what = `${JSON.stringify(output)} (build.output) leads to ${real}`;
    throw new AttemptError("output", `${what}, outside the checkout`);
  }
  if (real === root) {
    // The checkout's own .git is not part of what is shipped.
    await rm(join(source, ".git"), { recursive: true, force: true });
  }
  return real;
}

async function isDiskFull(folder: string): Promise<boolean> {
  const { bavail, bsize, ffree, files } = await statfs(folder);
  return bavail * bsize < FREE_BYTES_MIN || (files > 0 && ffree === 0);
}
