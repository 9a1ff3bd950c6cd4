// What the tests of the worker share: the real program in a process of its own, a scripted queue, a
// file: origin and git repositories, all below one temporary folder that is removed at the end.
import assert from "node:assert/strict";
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { BuildLease } from "../../proto/gen/millrace/v1/workers.ts";
import type { BlobStore } from "../../runtime/blobs/blob-store.ts";
import { openBlobStore } from "../../runtime/blobs/open-blob-store.ts";
import { processStartTime } from "../../runtime/program/process-start.ts";
import { sealKey } from "../../runtime/release/pack-keys.ts";
import { readSeal } from "../../runtime/release/sealed-pack.ts";
import { listTree, type TreeModel, unpack, writeTree } from "../core/release/packed-tree.ts";
import { type GivenLease, WorkerQueue } from "./worker-queue.ts";

const MAIN = fileURLToPath(new URL("../../worker/main.ts", import.meta.url));

/** Stands in the worker's environment, and must not reach a build's. */
export const CANARY = "canary-of-the-worker";

/** What a build is made of; the rest of its recipe does not matter. */
export interface RecipeFields {
  readonly run: string;
  readonly output?: string;
  readonly timeout?: string;
  readonly service?: string;
}

/** Text of a recipe. */
export function recipe({ run, output = "out", timeout, service = "demo" }: RecipeFields): string {
  const build = { run, output, ...(timeout !== undefined && { timeout }) };
  return JSON.stringify({ service, build, activate: { exec: ["true"] } });
}

/** A running worker. */
export class WorkerProcess {
  readonly #child: ChildProcess;
  #log = "";

  private constructor(child: ChildProcess) {
    this.#child = child;
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.#log += text;
    });
  }

  /** Starts `node worker/main.ts` and waits until it is ready. */
  static async start(
    root: string,
    origin: string,
    port: number,
    env: Record<string, string> = {},
  ): Promise<WorkerProcess> {
    const address = [
      "--controlplane",
      `127.0.0.1:${port}`,
      "--threads",
      "2",
      "--drain-timeout",
      "5s",
    ];
    const child = spawn(
      process.execPath,
      [MAIN, ...address, "--origin", `file:${origin}`, "--root", root],
      {
        env: { ...process.env, CANARY, AWS_SECRET_ACCESS_KEY: CANARY, ...env },
        stdio: ["ignore", "pipe", "pipe"],
      },
    );
    const worker = new WorkerProcess(child);
    const ready = once(child.stdout!, "data").then(([line]) => String(line));
    const died = worker.exited().then((code) => `died with ${code}: ${worker.log}`);
    const first = await Promise.race([ready, died]);
    assert.match(first, /^\{"ready":true,"program":"worker","id":"worker-[0-9a-f]{12}"/);
    return worker;
  }

  get log(): string {
    return this.#log;
  }

  get pid(): number {
    return this.#child.pid as number;
  }

  /** Exit code, or the signal that ended it. */
  async exited(): Promise<number | string> {
    const { exitCode, signalCode } = this.#child;
    if (exitCode === null && signalCode === null) await once(this.#child, "exit");
    return this.#child.exitCode ?? (this.#child.signalCode as string);
  }

  async end(signal: NodeJS.Signals): Promise<number | string> {
    this.#child.kill(signal);
    return this.exited();
  }
}

/** A git repository to build from. */
export class Repository {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
    mkdirSync(path, { recursive: true });
    this.git("init", "--quiet", "--initial-branch=main");
  }

  git(...args: string[]): string {
    const identity = ["-c", "user.name=test", "-c", "user.email=test@localhost"];
    return execFileSync("git", ["-C", this.path, ...identity, ...args], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "pipe"],
    }).trim();
  }

  /** Commits exactly this tree; the full SHA. */
  commit(tree: TreeModel): string {
    for (const name of readdirSync(this.path)) {
      if (name !== ".git") rmSync(join(this.path, name), { recursive: true });
    }
    const fresh = `${this.path}.tree`;
    writeTree(fresh, tree);
    execFileSync("cp", ["-a", `${fresh}/.`, this.path]);
    rmSync(fresh, { recursive: true });
    this.git("add", "--all");
    this.git("commit", "--quiet", "--allow-empty", "--message", "a commit");
    return this.git("rev-parse", "HEAD");
  }
}

/** One worker's surroundings. */
export class WorkerWorld {
  readonly folder = mkdtempSync(join(tmpdir(), "millrace-worker-"));
  readonly queue = new WorkerQueue();
  readonly root: string;
  readonly originPath: string;
  origin!: BlobStore;
  worker!: WorkerProcess;

  private constructor(root: string | undefined, originPath: string | undefined) {
    this.root = root ?? join(this.folder, "root");
    this.originPath = originPath ?? join(this.folder, "origin");
  }

  /** Starts a worker; its root and its origin lie in the world's folder unless they are given. */
  static async open(places: { root?: string; origin?: string } = {}): Promise<WorkerWorld> {
    const world = new WorkerWorld(places.root, places.origin);
    await world.queue.open();
    world.origin = await openBlobStore(`file:${world.originPath}`);
    await world.start();
    return world;
  }

  /** Starts the worker, again after it has ended. */
  async start(env: Record<string, string> = {}): Promise<void> {
    this.worker = await WorkerProcess.start(this.root, this.originPath, this.queue.port, env);
  }

  async close(): Promise<void> {
    await this.worker.end("SIGKILL");
    this.queue.close();
    await this.origin.close();
    rmSync(this.folder, { recursive: true, force: true });
  }

  repository(name = "repository"): Repository {
    return new Repository(join(this.folder, name));
  }

  /** Gives a build of the repository's commit; its recipe is the commit's own where none is given. */
  give(
    repository: Repository | string,
    sha: string,
    fields?: RecipeFields,
    lease: Partial<BuildLease> = {},
  ): GivenLease {
    return this.queue.give({
      repository: typeof repository === "string" ? repository : repository.path,
      sha,
      recipe: fields === undefined ? "" : recipe(fields),
      ...lease,
    });
  }

  /** Gives a build and waits for its end. */
  build(...args: Parameters<WorkerWorld["give"]>): Promise<GivenLease> {
    return this.queue.ended(this.give(...args));
  }

  /** The tree that a release unpacks to, read from the origin alone. */
  async unpacked(given: GivenLease): Promise<string[]> {
    const { folder, origin, originPath: output } = this;
    const { release } = given;
    const [pack] = (release.layout?.packs ?? []).slice(-1);
    const seal = await readSeal(origin, pack?.pack ?? "");
    assert.ok(seal, "the release's own pack is sealed");
    const root = mkdtempSync(join(folder, "unpacked-"));
    await unpack({ folder, output, scratch: folder, origin }, { release, seal }, root);
    return listTree(root);
  }

  /** Asserts that the attempt left no sealed pack at the origin and nothing in the worker's folder. */
  async assertNothingSealed({ lease }: GivenLease): Promise<void> {
    assert.equal(await this.origin.head(sealKey(`${lease.build}.${lease.attempt}`)), undefined);
  }

  /** Pid that a command wrote to the file `name` of the world's folder. */
  pid(name: string): number {
    return Number(readFileSync(join(this.folder, name), "utf8"));
  }

  /** Asserts that a process that a command started has ended. */
  assertEnded(name: string): void {
    assert.equal(processStartTime(this.pid(name)), undefined, `${name} lives`);
  }
}
