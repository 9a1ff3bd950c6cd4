// The source of a build: a mirror of each repository, kept between builds, and from it a checkout of
// exactly one commit. A mirror is a cache: one that cannot be used any more is made anew.
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { opendir } from "node:fs/promises";
import { join } from "node:path";
import { GitError, type GitOptions, git } from "./git.ts";
import { pruneCache, touch } from "./prune-cache.ts";
import { removeTree } from "./remove-tree.ts";

/** Serves any commit of a repository on this machine, not only the tips of branches. */
const UPLOAD_PACK = "git -c uploadpack.allowAnySHA1InWant=true -c safe.directory=* upload-pack";

/** Mirrors kept: each of 50 repositories that a worker meets in turn, twice. */
const MIRRORS_MAX = 100;

/** Packs of a mirror from which on they are joined; each fetch that brings something adds one. */
const PACKS_MAX = 50;

/** What git says where the mirror itself is damaged, as after a loss of power. */
const CORRUPTION =
  /corrupt|bad object|broken|missing (?:blob|tree|commit)|invalid sha1|inflate|packfile|unable to read/i;

/** What servers say of a commit that they do not have. */
const NOT_THERE =
  /not our ref|no such (?:remote )?ref|couldn't find remote ref|unadvertised object/i;

/** Stands in a mirror while git changes it. */
const BUSY_FILE = "millrace-busy";

/** The repository can be reached, but does not have what was asked for; the message says so. */
export class NoCommitError extends Error {
  override readonly name = "NoCommitError";
}

/** Keeps mirrors below `root`; one program owns it. */
export class SourceMirrors {
  readonly #root: string;

  constructor(root: string) {
    this.#root = root;
  }

  /** Takes away what a killed worker left unfinished. */
  async mend(): Promise<void> {
    for (const name of readdirSync(this.#root)) await mend(join(this.#root, name));
  }

  /**
   * Checks `sha` of `repository` out into `target`, a folder that does not exist. Rejects with NoCommitError
   * or with GitError, whose message holds no password.
   */
  async checkOut(
    repository: string,
    sha: string,
    target: string,
    options: GitOptions,
  ): Promise<void> {
    const mirror = this.#pathOf(repository);
    const wasThere = existsSync(mirror);
    try {
      await this.#tryOut(mirror, repository, sha, target, options);
    } catch (error) {
      if (!(error instanceof GitError)) throw error;
      if (!wasThere || !CORRUPTION.test(error.message)) throw asShown(error, repository);
      options.onOutput?.("the mirror of the repository is damaged; fetching it anew");
      await removeTree(mirror);
      await removeTree(target);
      await this.#tryOut(mirror, repository, sha, target, options);
    }
  }

  #pathOf(repository: string): string {
    const name = createHash("sha256").update(repository).digest("hex").slice(0, 24);
    return join(this.#root, `${name}.git`);
  }

  async #tryOut(
    mirror: string,
    repository: string,
    sha: string,
    target: string,
    options: GitOptions,
  ): Promise<void> {
    if (existsSync(mirror)) await mend(mirror);
    if (!existsSync(mirror)) await create(mirror, options);
    touch(mirror);
    await pruneCache(this.#root, MIRRORS_MAX);
    if (!(await hasCommit(mirror, sha, options))) await fetch(mirror, repository, sha, options);
    const type = (await git(["-C", mirror, "cat-file", "-t", sha], options)).trim();
    if (type !== "commit") throw new NoCommitError(`${sha} is a ${type}, not a commit`);
    await checkOutFrom(mirror, repository, sha, target, options);
  }
}

/** A repository as people and builds may see it: a URL without a password or token. */
export function shownRepository(repository: string): string {
  return repository
    .replace(/^(https?:\/\/)[^/]*@/i, "$1")
    .replace(/^(ssh:\/\/[^/:@]*):[^/]*@/i, "$1@");
}

function asShown(error: GitError, repository: string): GitError {
  return new GitError(error.message.replaceAll(repository, shownRepository(repository)));
}

/** A repository of its own that borrows the mirror's objects: nothing of them is copied. */
async function checkOutFrom(
  mirror: string,
  repository: string,
  sha: string,
  target: string,
  options: GitOptions,
): Promise<void> {
  await git(["init", "--quiet", "--template=", "--", target], options);
  const info = join(target, ".git", "objects", "info");
  mkdirSync(info, { recursive: true });
  writeFileSync(join(info, "alternates"), `${join(mirror, "objects")}\n`);
  const inTarget = ["-C", target];
  const url = shownRepository(repository);
  await git([...inTarget, "config", "--", "remote.origin.url", url], options);
  await git([...inTarget, "checkout", "--quiet", "--detach", sha], options);
}

/** Brings all branches and tags, and the commit by its SHA where none of them reaches it. */
async function fetch(
  mirror: string,
  repository: string,
  sha: string,
  options: GitOptions,
): Promise<void> {
  const busy = join(mirror, BUSY_FILE);
  writeFileSync(busy, "");
  try {
    const local = repository.startsWith("/") ? ["--upload-pack", UPLOAD_PACK] : [];
    const args = ["-C", mirror, "fetch", "--quiet", "--no-tags", "--no-write-fetch-head", ...local];
    const refs = ["+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"];
    await git([...args, "--prune", "--", repository, ...refs], options);
    if (!(await hasCommit(mirror, sha, options))) {
      await git([...args, "--", repository, sha], options);
    }
    if ((await packCount(mirror)) > PACKS_MAX) {
      await git(["-C", mirror, "repack", "-d", "--quiet", "--geometric=2"], options);
    }
    rmSync(busy);
  } catch (error) {
    // What git left unfinished would fill the disk until the repository is built from again.
    await mend(mirror);
    if (!(error instanceof GitError) || !NOT_THERE.test(error.message)) throw error;
    throw new NoCommitError(`the repository has no commit ${sha}; push it, or correct the SHA`);
  }
}

async function create(mirror: string, options: GitOptions): Promise<void> {
  const fresh = `${mirror}.new`;
  await removeTree(fresh);
  mkdirSync(fresh, { recursive: true });
  await git(["init", "--quiet", "--bare", "--template=", "--", fresh], options);
  renameSync(fresh, mirror);
}

/** Takes away what a git that was killed in this mirror left: locks and unfinished files. */
async function mend(mirror: string): Promise<void> {
  if (existsSync(join(mirror, BUSY_FILE))) {
    // No ref's name ends in ".lock", so each such file is a lock; its git has ended.
    for await (const entry of await opendir(mirror, { recursive: true })) {
      const isLeft = entry.name.endsWith(".lock") || /^tmp_(pack|idx|rev|obj)_/.test(entry.name);
      if (isLeft) rmSync(join(entry.parentPath, entry.name), { force: true });
    }
    rmSync(join(mirror, BUSY_FILE));
  }
  const isWhole = ["HEAD", "config", "objects", "refs"].every((name) =>
    existsSync(join(mirror, name)),
  );
  if (!isWhole) await removeTree(mirror);
}

async function packCount(mirror: string): Promise<number> {
  let count = 0;
  for await (const { name } of await opendir(join(mirror, "objects", "pack"))) {
    if (name.endsWith(".pack")) count += 1;
  }
  return count;
}

/** Whether the mirror holds the commit and all its files. */
function hasCommit(mirror: string, sha: string, options: GitOptions): Promise<boolean> {
  return succeeds(["-C", mirror, "rev-list", "--objects", "--quiet", "-1", sha], options);
}

async function succeeds(args: readonly string[], options: GitOptions): Promise<boolean> {
  try {
    await git(args, { ...options, onOutput: () => {} });
    return true;
  } catch (error) {
    if (error instanceof GitError) return false;
    throw error;
  }
}
