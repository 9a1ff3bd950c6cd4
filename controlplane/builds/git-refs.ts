// Which commit a request means: a full SHA as it is, anything else asked of git once, now. Only argument
// lists reach git, it never asks for a password, and only known transports are allowed: a repository's
// name comes from whoever can reach this port.
import { execFile } from "node:child_process";
import { isAbsolute } from "node:path";
import { fileURLToPath } from "node:url";
import { failedPrecondition, invalid, notFound } from "../../runtime/grpc/rpc-error.ts";

const GIT_MS_MAX = 10_000;
/** A repository with 100,000 refs lists 7 MB. */
const OUTPUT_BYTES_MAX = 16 * 1024 * 1024;
const REPOSITORY_BYTES_MAX = 2_048;
const REF_BYTES_MAX = 255;
/** Transports: `ext::` and its like run commands. */
const PROTOCOLS = ["file", "https", "http", "ssh", "git"] as const;

const SHA = /^[0-9a-f]{40}$/;
const SCP_LIKE = /^[A-Za-z0-9._-]+@[A-Za-z0-9.-]+:[^:]/;

/** Throws INVALID_ARGUMENT unless git may be given the repository; returns it without a final slash. */
export function checkRepository(repository: string): string {
  if (repository === "") throw invalid("repository: give a URL or an absolute path");
  if (Buffer.byteLength(repository) > REPOSITORY_BYTES_MAX) {
    throw invalid(`repository: longer than ${REPOSITORY_BYTES_MAX} bytes`);
  }
  if (hasControl(repository)) throw invalid("repository: control characters are not allowed");
  const isKnown =
    isAbsolute(repository) ||
    SCP_LIKE.test(repository) ||
    PROTOCOLS.some((protocol) => repository.startsWith(`${protocol}://`));
  if (isKnown) return repository.length > 1 ? repository.replace(/\/+$/, "") : repository;
  throw invalid(
    `repository "${repository}": expected an absolute path or a URL with one of ${PROTOCOLS.join(", ")}`,
  );
}

/** The full SHA that a ref, a SHA or (in a local repository) the beginning of one means. */
export async function resolveCommit(repository: string, ref: string): Promise<string> {
  if (ref === "") throw invalid("ref: give a branch, a tag, HEAD or a SHA");
  if (Buffer.byteLength(ref) > REF_BYTES_MAX || ref.startsWith("-") || hasControl(ref)) {
    throw invalid(`ref "${ref}": expected a branch, a tag, HEAD or a SHA`);
  }
  const path = localPath(repository);
  if (path !== undefined) return resolveLocal(path, ref);
  const sha = ref.toLowerCase();
  return SHA.test(sha) ? sha : resolveRemote(repository, ref);
}

async function resolveLocal(path: string, ref: string): Promise<string> {
  const folder = await git(["-C", path, "rev-parse", "--git-dir"]);
  if (!folder.ok) throw notFound(`repository ${path}: ${folder.why}`);
  const args = ["-C", path, "rev-parse", "--verify", "--end-of-options", `${ref}^{commit}`];
  const result = await git(args);
  if (!result.ok) {
    if (result.isAmbiguous) throw failedPrecondition(`ref "${ref}" of ${path}: ${result.why}`);
    throw notFound(`ref "${ref}": no such commit, branch or tag in ${path}`);
  }
  return checkedSha(result.stdout.trim());
}

async function resolveRemote(repository: string, ref: string): Promise<string> {
  const result = await git(["ls-remote", "--", repository, ref, `${ref}^{}`]);
  if (!result.ok) throw failedPrecondition(`repository ${repository}: ${result.why}`);
  const shas = new Map<string, string>();
  for (const line of result.stdout.split("\n")) {
    const [sha, name] = line.split("\t");
    if (sha !== undefined && name !== undefined) shas.set(name, sha);
  }
  // The order in which git itself understands a short name; "^{}" is the commit of an annotated tag.
  for (const name of [ref, `refs/${ref}`, `refs/tags/${ref}`, `refs/heads/${ref}`]) {
    const sha = shas.get(`${name}^{}`) ?? shas.get(name);
    if (sha !== undefined) return checkedSha(sha);
  }
  const hint = /^[0-9a-f]{4,39}$/i.test(ref)
    ? "; a SHA of a remote repository needs 40 digits"
    : "";
  throw notFound(`ref "${ref}": no such branch or tag in ${repository}${hint}`);
}

type GitResult =
  | { readonly ok: true; readonly stdout: string }
  | { readonly ok: false; readonly why: string; readonly isAmbiguous: boolean };

function git(args: readonly string[]): Promise<GitResult> {
  const env = {
    PATH: process.env["PATH"],
    HOME: process.env["HOME"],
    LC_ALL: "C",
    GIT_TERMINAL_PROMPT: "0",
    GIT_ALLOW_PROTOCOL: PROTOCOLS.join(":"),
    GIT_SSH_COMMAND: "ssh -oBatchMode=yes",
  };
  const options = { env, timeout: GIT_MS_MAX, killSignal: "SIGKILL", maxBuffer: OUTPUT_BYTES_MAX };
  return new Promise((resolve) => {
    execFile("git", args, options as object, (error, stdout, stderr) => {
      if (error === null) return resolve({ ok: true, stdout: String(stdout) });
      const isAmbiguous = String(stderr).includes("ambiguous");
      resolve({ ok: false, why: reason(error, String(stderr)), isAmbiguous });
    });
  });
}

function reason(error: Error & { killed?: boolean }, stderr: string): string {
  if (error.killed === true) return `no answer within ${GIT_MS_MAX / 1_000} s`;
  const lines = stderr.split("\n").filter((line) => /^(fatal|error|ssh):/.test(line));
  return lines[0]?.replace(/^(fatal|error): /, "") ?? (stderr.trim() || error.message);
}

function localPath(repository: string): string | undefined {
  if (isAbsolute(repository)) return repository;
  if (!repository.startsWith("file://")) return undefined;
  try {
    return fileURLToPath(repository);
  } catch {
    throw invalid(`repository "${repository}": not a file URL of this machine`);
  }
}

function checkedSha(text: string): string {
  if (!SHA.test(text))
    throw failedPrecondition(`git answered "${text}", expected a SHA of 40 digits`);
  return text;
}

function hasControl(text: string): boolean {
  for (const character of text) if (character < " " || character === "\u007f") return true;
  return false;
}
