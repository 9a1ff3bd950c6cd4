// What is to be built: a repository, a commit of it, and its recipe, checked before anything is asked of
// the control plane, so that a typo costs a second and not a build.
import { execFile } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { promisify } from "node:util";
import { CommandError, EXIT } from "../../runtime/program/exit-codes.ts";
import { parseRecipe } from "../../runtime/recipe/parse-recipe.ts";
import { RecipeError } from "../../runtime/recipe/parse-yaml.ts";

const RECIPE_FILE = "millrace.yaml";

/** git answers from local disk. */
const GIT_MS_MAX = 10_000;

export interface SourceFlags {
  readonly ref?: string;
  readonly recipe?: string;
}

export interface Source {
  /** Absolute path or URL. */
  readonly repository: string;
  /** Full SHA where it is known here, else the ref as given. */
  readonly ref: string;
  /** Text of the recipe given with --recipe; empty: the repository's own. */
  readonly recipe: string;
  /** Name of the service, where the recipe could be read here. */
  readonly service: string | undefined;
}

/** Reads what the command line names; throws CommandError with exit code 2. */
export async function readSource(place: string, flags: SourceFlags): Promise<Source> {
  const recipe = flags.recipe === undefined ? "" : readRecipeFile(flags.recipe);
  const given = recipe === "" ? undefined : check(recipe, flags.recipe ?? RECIPE_FILE);
  const ref = flags.ref ?? "HEAD";
  if (!isLocal(place)) return { repository: place, ref, recipe, service: given };
  const repository = resolve(place);
  const sha = await resolveRef(repository, ref);
  const service = given ?? (await checkCommitted(repository, sha));
  return { repository, ref: sha, recipe, service };
}

/** A URL has a scheme; "host:path" is git's short form of one. All else is a folder. */
function isLocal(place: string): boolean {
  if (existsSync(place)) return true;
  return !/^[a-z][a-z0-9+.-]*:\/\//i.test(place) && !/^[^/\s]+:[^\s]+$/.test(place);
}

function readRecipeFile(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw new CommandError(EXIT.usage, `--recipe ${path}: ${(error as Error).message}`);
  }
}

async function resolveRef(repository: string, ref: string): Promise<string> {
  if (!existsSync(repository)) {
    throw new CommandError(EXIT.usage, `${repository}: no such folder, and not a URL`);
  }
  const verify = ["rev-parse", "--verify", "--quiet", "--end-of-options", `${ref}^{commit}`];
  const found = await git(repository, verify);
  if (found.ok) return found.output.trim();
  const isRepository = await git(repository, ["rev-parse", "--git-dir"]);
  if (!isRepository.ok) {
    throw new CommandError(EXIT.usage, `${repository} is not a git repository`);
  }
  throw new CommandError(EXIT.usage, `${repository} has no commit "${ref}" (--ref)`);
}

async function checkCommitted(repository: string, sha: string): Promise<string> {
  const shown = await git(repository, ["show", "--end-of-options", `${sha}:${RECIPE_FILE}`]);
  if (shown.ok) return check(shown.output, RECIPE_FILE);
  const short = sha.slice(0, 12);
  throw new CommandError(
    EXIT.usage,
    `no ${RECIPE_FILE} in ${repository} at ${short}; commit one, or pass --recipe FILE`,
  );
}

function check(text: string, file: string): string {
  try {
    return parseRecipe(text, file).service;
  } catch (error) {
    if (error instanceof RecipeError) throw new CommandError(EXIT.usage, `\n${error.message}`);
    throw error;
  }
}

async function git(
  repository: string,
  args: readonly string[],
): Promise<{ readonly ok: boolean; readonly output: string }> {
  try {
    const options = { timeout: GIT_MS_MAX, maxBuffer: 1024 * 1024 };
    const env = ["-c", "safe.directory=*", "-C", repository];
    const { stdout } = await promisify(execFile)("git", [...env, ...args], options);
    return { ok: true, output: stdout };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") {
      throw new CommandError(EXIT.error, "git is not installed");
    }
    return { ok: false, output: "" };
  }
}
