// Runs git without a shell, without prompts, and without the machine's own configuration.
import { spawn } from "node:child_process";

/** Transports that a repository may use; `ext::` would run any command. */
const PROTOCOLS = "file:git:http:https:ssh";

/** What git said last is kept for the error. */
const ERROR_BYTES_MAX = 8 * 1024;

/** Git failed; the message is what it said. */
export class GitError extends Error {
  override readonly name = "GitError";
}

export interface GitOptions {
  readonly signal: AbortSignal;
  /** Takes what git prints on stderr. */
  readonly onOutput?: (text: string) => void;
}

/** Runs git and resolves with its stdout (at most a few KiB are expected); rejects with GitError. */
export function git(args: readonly string[], options: GitOptions): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn("git", args, {
      env: gitEnvironment(),
      stdio: ["ignore", "pipe", "pipe"],
      signal: options.signal,
      killSignal: "SIGKILL",
    });
    let output = "";
    let errors = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      errors = (errors + text).slice(-ERROR_BYTES_MAX);
      options.onOutput?.(text);
    });
    child.on("error", (error) => {
      reject(options.signal.aborted ? options.signal.reason : new GitError(error.message));
    });
    child.on("close", (code) => {
      if (code === 0) resolve(output);
      else reject(new GitError(errors.trim() || `git ${args[0]} ended with ${code}`));
    });
  });
}

function gitEnvironment(): NodeJS.ProcessEnv {
  return {
    PATH: process.env["PATH"],
    HOME: process.env["HOME"],
    SSH_AUTH_SOCK: process.env["SSH_AUTH_SOCK"],
    LANG: "C.UTF-8",
    GIT_TERMINAL_PROMPT: "0",
    GIT_ALLOW_PROTOCOL: PROTOCOLS,
    GIT_CONFIG_NOSYSTEM: "1",
    // A repository on this machine may belong to another user; reading commits from it is safe.
    GIT_CONFIG_COUNT: "1",
    GIT_CONFIG_KEY_0: "safe.directory",
    GIT_CONFIG_VALUE_0: "*",
  };
}
