// The source of a build: a mirror of each repository, kept between builds, and from it a checkout of
// exactly one commit.
import { createHash } from "node:crypto";
import { existsSync, renameSync, rmSync } from "node:fs";
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { GitError, type GitOptions, git } from "./git.ts";

/** Serves any commit of a repository on this machine, not only the tips of branches. */
const UPLOAD_PACK = "git -c uploadpack.allowAnySHA1InWant=true -c safe.directory=* upload-pack";

/** Keeps mirrors below `root`; one program owns it. */
export class SourceMirrors {
  readonly #root: string;

  constructor(root: string) {
    this.#root = root;
  }

  /** Checks `sha` of `repository` out into `target`, a folder that does not exist. */
  async checkOut(
    repository: string,
    sha: string,
    target: string,
    options: GitOptions,
  ): Promise<void> {
    const mirror = await this.#mirrorWith(repository, sha, options);
    const clone = ["clone", "--quiet", "--no-checkout", "--shared", "--", mirror, target];
    await git(clone, options);
    await git(["-C", target, "remote", "set-url", "origin", "--", repository], options);
    await git(["-C", target, "checkout", "--quiet", "--detach", sha], options);
  }

  async #mirrorWith(repository: string, sha: string, options: GitOptions): Promise<string> {
    const name = createHash("sha256").update(repository).digest("hex").slice(0, 24);
    const mirror = join(this.#root, `${name}.git`);
    if (existsSync(mirror) && !(await isIntact(mirror, options))) {
      rmSync(mirror, { recursive: true, force: true });
    }
    if (!existsSync(mirror)) await create(mirror, options);
    if (await hasCommit(mirror, sha, options)) return mirror;
    const local = repository.startsWith("/") ? ["--upload-pack", UPLOAD_PACK] : [];
    const fetch = ["-C", mirror, "fetch", "--quiet", "--prune", "--no-tags", ...local, "--"];
    await git(
      [...fetch, repository, "+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"],
      options,
    );
    if (await hasCommit(mirror, sha, options)) return mirror;
    try {
      await git([...fetch, repository, sha], options);
    } catch (error) {
      if (!(error instanceof GitError)) throw error;
      throw new GitError(`${repository} has no commit ${sha} (${error.message})`);
    }
    return mirror;
  }
}

async function create(mirror: string, options: GitOptions): Promise<void> {
  const fresh = `${mirror}.new`;
  await rm(fresh, { recursive: true, force: true });
  await mkdir(fresh, { recursive: true });
  await git(["init", "--quiet", "--bare", "--", fresh], options);
  // Commits that no branch reaches any more are kept: a SHA that was built can be built again.
  await git(["-C", fresh, "config", "gc.auto", "0"], options);
  renameSync(fresh, mirror);
}

/** A killed fetch leaves lock files; a mirror is a cache, so it is made anew rather than repaired. */
async function isIntact(mirror: string, options: GitOptions): Promise<boolean> {
  const locks = ["shallow.lock", "packed-refs.lock", "config.lock"];
  if (locks.some((name) => existsSync(join(mirror, name)))) return false;
  return succeeds(["-C", mirror, "rev-parse", "--git-dir"], options);
}

function hasCommit(mirror: string, sha: string, options: GitOptions): Promise<boolean> {
  return succeeds(["-C", mirror, "rev-list", "--objects", "--quiet", "-1", sha], options);
}

async function succeeds(args: readonly string[], options: GitOptions): Promise<boolean> {
  try {
    await git(args, { signal: options.signal });
    return true;
  } catch (error) {
    if (error instanceof GitError) return false;
    throw error;
  }
}
