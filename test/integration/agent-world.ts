// A real agent process, a scripted relay, and releases packed by the real packer.
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { findProcesses } from "../../agent/run/service-process.ts";
import type { Activation, Release } from "../../proto/gen/millrace/v1/release_format.ts";
import type { BlobStore } from "../../runtime/blobs/blob-store.ts";
import { openBlobStore } from "../../runtime/blobs/open-blob-store.ts";
import { openPack, type SealedPack } from "../../runtime/release/sealed-pack.ts";
import { loadBase } from "../../worker/pack/base-release.ts";
import { packOutput } from "../../worker/pack/pack-output.ts";
import { startProgram } from "../lab/start-program.ts";
import { ScriptedRelay } from "./scripted-relay.ts";

export const SERVICE = "hello";

/** Answers /healthz with what the file `health` says, and / with the release it is. */
const SERVER = `
const { readFileSync } = require("node:fs");
require("node:http").createServer((request, response) => {
  response.statusCode = request.url === "/healthz" ? Number(readFileSync("health", "utf8")) : 200;
  response.end(process.env.MILLRACE_RELEASE);
}).listen(Number(process.env.PORT), "127.0.0.1");
`;

/** A file's text or bytes, or a symlink's target, or an empty folder. */
export type TreeNode =
  | { readonly file: string | Uint8Array; readonly mode?: number }
  | { readonly link: string }
  | { readonly folder: true; readonly mode?: number };

export interface AgentStart {
  readonly failpoint?: string;
  readonly root?: string;
  readonly flags?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

export interface AgentProcess {
  readonly id: string;
  readonly pid: number;
  /** Port of its metrics, where it was told to have one. */
  readonly metrics: number;
  readonly exited: Promise<NodeJS.Signals | number | null>;
  end(signal: NodeJS.Signals): Promise<NodeJS.Signals | number | null>;
}

export class AgentWorld {
  readonly folder = mkdtempSync(join(tmpdir(), "millrace-agent-"));
  readonly root = join(this.folder, "agent");
  relay!: ScriptedRelay;
  #origin!: BlobStore;
  #builds = 0;
  readonly #agents = new Set<AgentProcess>();
  readonly #ids = new Set<string>();

  static async start(): Promise<AgentWorld> {
    const world = new AgentWorld();
    mkdirSync(join(world.folder, "seeds"), { recursive: true });
    world.#origin = await openBlobStore(`file:${join(world.folder, "origin")}`);
    world.relay = await ScriptedRelay.start(join(world.folder, "seeds"));
    return world;
  }

  /** Packs a tree and seeds its pack; `base` shares chunks with it. */
  async release(
    tree: Readonly<Record<string, TreeNode>>,
    activation: Activation | undefined,
    base?: Release,
  ): Promise<Release> {
    this.#builds += 1;
    const output = join(this.folder, `output-${this.#builds}`);
    writeTree(output, tree);
    return this.packed(output, activation, base);
  }

  async packed(output: string, activation?: Activation, base?: Release): Promise<Release> {
    this.#builds += 1;
    const build = `b-${String(this.#builds).padStart(16, "0")}`;
    const scratch = join(this.folder, "scratch");
    mkdirSync(scratch, { recursive: true });
    const bases = base === undefined ? [] : [await loadBase(this.#origin, base, scratch)];
    const { release } = await packOutput({
      output,
      pack: `${build}.1`,
      origin: this.#origin,
      base: bases,
      scratch,
      threads: 1,
      onSegment: () => {},
      signal: new AbortController().signal,
    });
    await this.relay.seed(await openPack(this.#origin, `${build}.1`));
    return {
      ...release,
      service: SERVICE,
      sha: String(this.#builds).padStart(40, "0"),
      build,
      createdAtMs: 0,
      activation,
      rollout: undefined,
    };
  }

  /** A pack as it is at the origin. */
  pack(name: string): Promise<SealedPack> {
    return openPack(this.#origin, name);
  }

  /** Starts an agent and waits until it is ready. */
  async agent(start: AgentStart = {}): Promise<AgentProcess> {
    const { failpoint = "", root = this.root, flags = [] } = start;
    const where = ["--join", this.relay.address, "--region", "eu", "--root", root];
    const env = { MILLRACE_FAILPOINT: failpoint, MILLRACE_LOG: "info", ...start.env };
    const program = await startProgram<{ id: string; metrics: number }>(
      "agent",
      [...where, ...flags],
      env,
    );
    const { id, metrics } = program.ready;
    this.#ids.add(id);
    const agent: AgentProcess = {
      id,
      metrics,
      pid: program.pid,
      exited: program.exited.then(([code, signal]) => signal ?? code),
      end: (signal) => program.end(signal).then(([code, by]) => by ?? code),
    };
    this.#agents.add(agent);
    return agent;
  }

  /** Release that `current` names. */
  current(root = this.root): string {
    return readlinkSync(join(root, SERVICE, "current")).replace("releases/", "");
  }

  /** Releases of which a process of this world's agents lives. */
  running(): string[] {
    return [...this.#ids].flatMap((id) => [...findProcesses(id, SERVICE).keys()]);
  }

  /** What the service answers on its port; undefined: it does not. */
  async answer(root = this.root): Promise<string | undefined> {
    try {
      const port = readFileSync(join(root, SERVICE, "port"), "utf8").trim();
      return await (await fetch(`http://127.0.0.1:${port}/`)).text();
    } catch {
      return undefined;
    }
  }

  /** What the agent has written down of the service, and what its processes have said; for a test that fails. */
  describe(): string {
    const folder = join(this.root, SERVICE);
    const logs = existsSync(join(folder, "logs")) ? readdirSync(join(folder, "logs")) : [];
    const files = ["state.json", "port", ...logs.map((name) => join("logs", name))];
    const there = files.filter((name) => existsSync(join(folder, name)));
    return there.map((name) => `${name}: ${readFileSync(join(folder, name), "utf8")}`).join("\n");
  }

  /** Ends everything that was started here, and deletes it. */
  async stop(): Promise<void> {
    await Promise.all([...this.#agents].map((agent) => agent.end("SIGKILL")));
    for (const id of this.#ids) {
      for (const { pid } of findProcesses(id, SERVICE).values()) process.kill(-pid, "SIGKILL");
    }
    await this.relay.stop();
    await this.#origin.close();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** A service that answers on a port (0: a free one); `health` is the status of its check. */
export function server(
  name: string,
  health = 200,
  port = 0,
): { tree: Record<string, TreeNode>; activation: Activation } {
  return {
    tree: {
      "server.js": { file: SERVER },
      health: { file: `${health}` },
      name: { file: name },
    },
    activation: {
      exec: ["node", "server.js"],
      hook: [],
      // biome-ignore lint/suspicious/noTemplateCurlyInString: this is how a recipe writes it.
      health: { http: "http://127.0.0.1:${PORT}/healthz", command: [], withinMs: 30_000 },
      port,
      drainMs: 1_000,
    },
  };
}

export function writeTree(root: string, tree: Readonly<Record<string, TreeNode>>): void {
  for (const [path, node] of Object.entries(tree)) {
    const full = join(root, path);
    mkdirSync(dirname(full), { recursive: true });
    if ("link" in node) symlinkSync(node.link, full);
    else if ("folder" in node) mkdirSync(full, { mode: node.mode ?? 0o755 });
    else writeFileSync(full, node.file);
    if (!("link" in node) && node.mode !== undefined) chmodSync(full, node.mode);
  }
}
