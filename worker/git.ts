// Runs git without a shell, without prompts and without hooks. The configuration of the user that the
// worker runs as does count: it is where an operator puts credentials.
import { spawn } from "node:child_process";
import { WORKER_MARK } from "./build-environment.ts";

/** Transports that a repository may use; `ext::` would run any command. */
const PROTOCOLS = "file:git:http:https:ssh";

/** What git said last is kept for the error. */
const ERROR_BYTES_MAX = 8 * 1024;

/** Git takes its locks away at SIGTERM; so long it may take to. */
const TERM_MS = 2_000;

/** Variables of the worker's that git needs to reach a repository, where they are set. */
const PASSED = [
  ...["PATH", "HOME", "SSH_AUTH_SOCK", "SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO"],
  ...["http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY"],
];

const CONFIG = {
  // A repository on this machine may belong to another user; reading commits from it is safe.
  "safe.directory": "*",
  "core.hooksPath": "/dev/null",
  // Commits that no branch reaches any more are kept: a SHA that was built can be built again.
  "gc.auto": "0",
  "fetch.unpackLimit": "1",
  // A server that sends less than 1 KB/s for a minute has gone.
  "http.lowSpeedLimit": "1000",
  "http.lowSpeedTime": "60",
};

/** Git failed; the message is what it said. */
export class GitError extends Error {
  override readonly name = "GitError";
}

export interface GitOptions {
  /** Id of the worker, to mark its processes with. */
  readonly worker: string;
  readonly signal: AbortSignal;
  /** Takes what git prints on stderr. */
  readonly onOutput?: (text: string) => void;
}

/** Runs git and resolves with its stdout (a line or two); rejects with GitError, or as aborted. */
export function git(args: readonly string[], options: GitOptions): Promise<string> {
  const { signal } = options;
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const child = spawn("git", args, {
      env: gitEnvironment(options.worker),
      stdio: ["ignore", "pipe", "pipe"],
      detached: true,
    });
    const send = (name: NodeJS.Signals): void => {
      try {
        if (child.pid !== undefined) process.kill(-child.pid, name);
      } catch {
        // It has ended.
      }
    };
    let killer: NodeJS.Timeout | undefined;
    const onAbort = (): void => {
      send("SIGTERM");
      killer = setTimeout(() => send("SIGKILL"), TERM_MS);
    };
    signal.addEventListener("abort", onAbort, { once: true });
    let output = "";
    let errors = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      errors = (errors + text).slice(-ERROR_BYTES_MAX);
      options.onOutput?.(text);
    });
    child.on("error", (error) => reject(new GitError(error.message)));
    child.on("close", (code) => {
      signal.removeEventListener("abort", onAbort);
      clearTimeout(killer);
      if (signal.aborted) reject(signal.reason);
      else if (code === 0) resolve(output);
      else reject(new GitError(errors.trim() || `git ${args[0]} ended with ${code}`));
    });
  });
}

function gitEnvironment(worker: string): NodeJS.ProcessEnv {
  const config = Object.entries(CONFIG).flatMap(([key, value], i) => [
    [`GIT_CONFIG_KEY_${i}`, key],
    [`GIT_CONFIG_VALUE_${i}`, value],
  ]);
  return {
    ...Object.fromEntries(PASSED.map((name) => [name, process.env[name]])),
    LANG: "C.UTF-8",
    GIT_TERMINAL_PROMPT: "0",
    GIT_ALLOW_PROTOCOL: PROTOCOLS,
    GIT_CONFIG_NOSYSTEM: "1",
    GIT_CONFIG_COUNT: String(Object.keys(CONFIG).length),
    ...Object.fromEntries(config),
    [WORKER_MARK]: worker,
  };
}
