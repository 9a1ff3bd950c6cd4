// A real fake-gcs-server for tests, a process with its own port. It knows nothing of the store that is tried
// on it, and where it differs from GCS in what uploads need, `gcs-front.ts` stands before it.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { freePorts } from "./free-ports.ts";

const VERSION = "v1.56.1";
/** What `go install` takes. */
export const FAKE_GCS_MODULE = `github.com/fsouza/fake-gcs-server@${VERSION}`;
/** Where `npm run fake-gcs` puts it. */
export const FAKE_GCS_PROGRAM = join(
  process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"),
  "millrace",
  `fake-gcs-server-${VERSION}`,
);
/** What it logs once it listens. */
const READY = "server started at";

/** Says how to get it where it is missing; false where it is there, and in CI, where tests then fail. */
export function fakeGcsMissing(): string | false {
  if (process.env["CI"] || existsSync(FAKE_GCS_PROGRAM)) return false;
  return "fake-gcs-server is not built: npm run fake-gcs";
}

/** A running server; `folder` is where it keeps objects, memory where there is none. */
export class FakeGcs {
  /** Its URL, without a path. */
  readonly endpoint: string;
  readonly #folder: string | undefined;
  #process: ChildProcess;

  /** Starts it on a free port, and resolves once it serves. */
  static async start(folder?: string): Promise<FakeGcs> {
    // The server cannot tell which one it was given.
    const [port = 0] = await freePorts(1);
    const child = await launch(folder, port);
    return new FakeGcs(child, port, folder);
  }

  private constructor(child: ChildProcess, port: number, folder: string | undefined) {
    this.#process = child;
    this.#folder = folder;
    this.endpoint = `http://127.0.0.1:${port}`;
  }

  /** Makes a bucket. */
  async createBucket(name: string): Promise<void> {
    const answer = await fetch(`${this.endpoint}/storage/v1/b?project=test`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ name }),
    });
    if (!answer.ok) throw new Error(`no bucket: ${answer.status} ${await answer.text()}`);
  }

  /** Ends it at once; uploads that are under way are lost, objects in a folder stay. */
  async kill(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const exited = once(this.#process, "exit");
    this.#process.kill("SIGKILL");
    await exited;
  }

  /** Starts it again on its port. */
  async restart(): Promise<void> {
    await this.kill();
    this.#process = await launch(this.#folder, Number(new URL(this.endpoint).port));
  }
}

async function launch(folder: string | undefined, port: number): Promise<ChildProcess> {
  const backend = folder === undefined ? ["memory"] : ["filesystem", "-filesystem-root", folder];
  const flags = ["-scheme", "http", "-host", "127.0.0.1", "-port", String(port)];
  const child = spawn(FAKE_GCS_PROGRAM, [...flags, "-log-level", "info", "-backend", ...backend], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  const lines = createInterface(child.stderr);
  const shown: string[] = [];
  await new Promise<void>((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code, signal) => {
      reject(new Error(`fake-gcs-server ended (${code ?? signal}):\n${shown.join("\n")}`));
    });
    lines.on("line", (line) => {
      shown.push(line);
      if (line.includes(READY)) resolve();
    });
  });
  lines.removeAllListeners("line").resume();
  return child;
}
