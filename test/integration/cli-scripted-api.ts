// The public API as a test scripts it, and the command line run against it as a process. A method that a
// test gives no answer for is UNIMPLEMENTED.
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { UntypedServiceImplementation } from "@grpc/grpc-js";
import { BuildServiceService, ReleaseServiceService } from "../../proto/gen/millrace/v1/builds.ts";
import { FleetServiceService } from "../../proto/gen/millrace/v1/fleet.ts";
import { RolloutServiceService } from "../../proto/gen/millrace/v1/rollouts.ts";
import { serverStream, unary } from "../../runtime/grpc/handlers.ts";
import { type GrpcServer, startGrpcServer } from "../../runtime/grpc/server.ts";
import { formatAddress } from "../../runtime/listen-address.ts";
import { createLog } from "../../runtime/log.ts";
import { Health } from "../../runtime/program/health.ts";

const MILLRACE = fileURLToPath(new URL("../../cli/millrace.js", import.meta.url));
const SERVICES = [
  BuildServiceService,
  ReleaseServiceService,
  RolloutServiceService,
  FleetServiceService,
];

// biome-ignore lint/suspicious/noExplicitAny: a script knows the messages of its methods.
type Message = any;

/** Answers by method: one message, or for a watch a run of messages. Throws become statuses. */
export type Script = Readonly<
  Record<string, (request: Message) => Message | Promise<Message> | AsyncIterable<Message>>
>;

/** A control plane that answers as told. */
export class ScriptedApi {
  /** Requests by method, in order. */
  readonly requests: { readonly method: string; readonly request: Message }[] = [];
  #script: Script = {};
  #server: GrpcServer | undefined;
  #port = 0;

  get address(): string {
    return formatAddress({ host: "127.0.0.1", port: this.#port });
  }

  /** Sets the answers and listens; after `stop`, on the port it had. */
  async start(script: Script = this.#script): Promise<void> {
    this.#script = script;
    const log = createLog("scripted-api");
    log.level = "silent";
    const services = SERVICES.map((definition) => {
      const implementation: UntypedServiceImplementation = {};
      for (const [method, { responseStream }] of Object.entries(definition)) {
        const answer = script[method];
        if (answer === undefined) continue;
        const heard = (request: Message): Message => {
          this.requests.push({ method, request });
          return answer(request);
        };
        implementation[method] = responseStream
          ? serverStream(log, heard)
          : unary(log, async (request) => heard(request));
      }
      return { definition, implementation };
    });
    const address = { host: "127.0.0.1", port: this.#port };
    this.#server = await startGrpcServer({ address, services, health: new Health({}), log });
    this.#port = this.#server.address.port;
  }

  async stop(): Promise<void> {
    await this.#server?.close();
    this.#server = undefined;
  }
}

/** How a command ended. */
export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A command on its way. */
export interface Running {
  readonly process: ChildProcess;
  /** What it has printed so far. */
  readonly output: { readonly stdout: string; readonly stderr: string };
  readonly ended: Promise<Ended>;
  /** Resolves when the text was printed; rejects where it never was. */
  printed(text: string): Promise<void>;
}

/** Starts `millrace ARGS` with nothing of this user's set-up. */
export function startMillrace(args: readonly string[], env: NodeJS.ProcessEnv = {}): Running {
  return start([process.execPath, MILLRACE, ...args], env);
}

/** The same as npm does it: below a shell, whose process it gives; it has ended when both have. */
export function startMillraceByNpm(args: readonly string[], env: NodeJS.ProcessEnv): Running {
  // The command after it keeps the shell from giving its process away.
  const shell = ["sh", "-c", '"$@"; true', "sh"];
  const npm = { npm_lifecycle_event: "npx" };
  return start([...shell, process.execPath, MILLRACE, ...args], { ...env, ...npm });
}

function start([command = "", ...args]: readonly string[], env: NodeJS.ProcessEnv): Running {
  const home = mkdtempSync(join(tmpdir(), "millrace-home-"));
  const { MILLRACE_ADDR: _, ...own } = process.env;
  const child = spawn(command, args, {
    env: { ...own, MILLRACE_HOME: home, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const output = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const) {
    child[name].setEncoding("utf8").on("data", (text: string) => {
      output[name] += text;
    });
  }
  const ended = new Promise<Ended>((resolve) => {
    child.once("close", (code) => {
      rmSync(home, { recursive: true, force: true });
      resolve({ code, ...output });
    });
  });
  const printed = (text: string): Promise<void> =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        if (`${output.stdout}${output.stderr}`.includes(text)) resolve();
      };
      child.stdout.on("data", look);
      child.stderr.on("data", look);
      child.once("close", () => reject(new Error(`"${text}" was not printed`)));
      look();
    });
  return { process: child, output, ended, printed };
}

/** Runs `millrace ARGS` to its end. */
export function millrace(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Ended> {
  return startMillrace(args, env).ended;
}
