// The package as a user has it: packed, installed by npm in an empty folder, and its command run from
// there with the machine's own Node and npm, nothing of the checkout in sight.
import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
/** Longest that a command may take: npm at 90 MB from a registry with 1 MB/s, on a machine that is busy. */
const COMMAND_TIMEOUT_MS = 180_000;

/** An installed package, and a scratch folder beside it. */
export class InstalledPackage {
  /** Holds everything that a test makes. */
  readonly scratch: string;
  /** Where npm installed it. */
  readonly path: string;
  /** Paths in the tarball. */
  readonly shipped: readonly string[];
  readonly #app: string;

  private constructor(scratch: string, shipped: readonly string[]) {
    this.scratch = scratch;
    this.shipped = shipped;
    this.#app = join(scratch, "app");
    this.path = join(this.#app, "node_modules", "millrace");
  }

  /** Packs the checkout, or another one whose dependencies are there, and installs it. */
  static make(checkout = ROOT): InstalledPackage {
    // Real, because /proc names folders so.
    const scratch = realpathSync(mkdtempSync(join(tmpdir(), "millrace-package-")));
    const packed = execute(
      checkout,
      scratch,
      "npm",
      "pack",
      "--json",
      "--pack-destination",
      scratch,
    );
    const [tarball] = Object.values(JSON.parse(packed)) as {
      filename: string;
      files: { path: string }[];
    }[];
    assert.ok(tarball !== undefined, "npm pack names no tarball");
    const shipped = tarball.files.map(({ path }) => path);
    const installed = new InstalledPackage(scratch, shipped);
    mkdirSync(installed.#app);
    writeFileSync(join(installed.#app, "package.json"), '{ "name": "app", "private": true }\n');
    installed.run("npm", "install", "--prefer-offline", join(scratch, tarball.filename));
    return installed;
  }

  /** Runs a command where the package is installed; gives its stdout, fails where it fails. */
  run(command: string, ...args: string[]): string {
    return execute(this.#app, this.scratch, command, ...args);
  }

  /** Starts a command in a process group of its own, as a shell does with a job. */
  start(command: string, ...args: string[]): ChildProcess {
    return spawn(command, args, {
      cwd: this.#app,
      env: userEnvironment(this.scratch),
      stdio: ["ignore", "pipe", "inherit"],
      detached: true,
    });
  }

  /** Command lines of processes that belong to the package or work in its folders. */
  processes(): string[] {
    const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
    return pids.flatMap((pid) => {
      try {
        const command = readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
        const folder = readlinkSync(`/proc/${pid}/cwd`);
        return `${command} ${folder}`.includes(this.scratch) ? [`${pid}: ${command}`] : [];
      } catch {
        // Ended meanwhile, or another user's.
        return [];
      }
    });
  }

  remove(): void {
    rmSync(this.scratch, { recursive: true, force: true });
  }
}

function execute(cwd: string, scratch: string, command: string, ...args: string[]): string {
  const result = spawnSync(command, args, {
    cwd,
    env: userEnvironment(scratch),
    encoding: "utf8",
    timeout: COMMAND_TIMEOUT_MS,
    maxBuffer: 64 * 2 ** 20,
  });
  const output = `${result.error?.message ?? ""}\n${result.stdout}${result.stderr}`;
  assert.equal(result.status, 0, `${command} ${args.join(" ")}\n${output}`);
  return result.stdout;
}

/** As in a user's shell: the machine's Node and npm, not the checkout's; no `millrace up` but ours. */
function userEnvironment(scratch: string): NodeJS.ProcessEnv {
  const checkout = dirname(process.execPath);
  const path = (process.env["PATH"] ?? "")
    .split(delimiter)
    .filter((folder) => folder !== checkout && !folder.startsWith(ROOT))
    .join(delimiter);
  // What `npm test` tells its scripts; the user's own settings of npm and Node stay.
  const told = /^(npm_(?!config_)|npm_config_local_prefix$|NODE_OPTIONS$|MILLRACE_)/;
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !told.test(name)));
  return { ...env, PATH: path, MILLRACE_HOME: join(scratch, "home") };
}
