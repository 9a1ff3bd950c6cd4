// Git repositories for tests and benchmarks, made without any configuration of the machine's git.
import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

/** What a commit holds: text, bytes, an executable, or a symlink. */
export type Content =
  | string
  | Uint8Array
  | { readonly executable: string }
  | { readonly symlink: string };

/** A repository in a folder of its own. */
export class Repository {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
    mkdirSync(path, { recursive: true });
    this.git("init", "-q", "-b", "main");
  }

  /** Writes files, commits everything, and gives the SHA. */
  commit(files: Readonly<Record<string, Content>>, message = "change"): string {
    for (const [name, content] of Object.entries(files)) write(join(this.path, name), content);
    this.git("add", "-A");
    this.git("commit", "-q", "--allow-empty", "-m", message);
    return this.git("rev-parse", "HEAD").trim();
  }

  /** Keeps a commit object of this text as a branch of its own; gives its SHA. */
  keep(text: string): string {
    const sha = this.#run(["hash-object", "-t", "commit", "-w", "--stdin"], text).trim();
    this.git("branch", `kept-${sha}`, sha);
    return sha;
  }

  git(...args: string[]): string {
    return this.#run(args, "");
  }

  #run(args: readonly string[], input: string): string {
    const author = ["-c", "user.name=test", "-c", "user.email=test@localhost"];
    const env = { PATH: process.env["PATH"], GIT_CONFIG_NOSYSTEM: "1", HOME: this.path };
    const options = { cwd: this.path, env, input, encoding: "utf8" } as const;
    return execFileSync("git", [...author, ...args], options);
  }
}

/** A recipe as text; JSON is YAML. */
export function recipe(fields: {
  readonly service: string;
  readonly run: string;
  readonly output?: string;
  readonly timeout?: string;
  readonly activate: object;
  readonly rollout?: object;
}): string {
  const { service, run, activate } = fields;
  return JSON.stringify({
    service,
    build: { run, output: fields.output ?? "dist", timeout: fields.timeout ?? "2m" },
    activate,
    rollout: fields.rollout ?? { waves: [{ percent: 100 }], maxUnavailable: 100 },
  });
}

function write(path: string, content: Content): void {
  mkdirSync(dirname(path), { recursive: true });
  rmSync(path, { recursive: true, force: true });
  if (typeof content === "string" || content instanceof Uint8Array) {
    writeFileSync(path, content);
  } else if ("symlink" in content) {
    symlinkSync(content.symlink, path);
  } else {
    writeFileSync(path, content.executable);
    chmodSync(path, 0o755);
  }
}
