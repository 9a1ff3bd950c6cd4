// A control plane as a process of its own, to be killed and started again on the same root.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { packageRoot } from "../../runtime/package-root.ts";
import { connectAll } from "./queue-system.ts";

const MAIN = fileURLToPath(new URL("controlplane/main.ts", packageRoot()));

export interface ControlPlaneOptions {
  /** A place at which it kills itself. */
  readonly failpoint?: string;
  readonly flags?: readonly string[];
}

/** Starts a control plane on `root` and resolves when it is ready. */
export async function startControlPlane(root: string, options: ControlPlaneOptions = {}) {
  const flags = [
    ...["--listen", "127.0.0.1:0"],
    ...["--store", `sqlite:${join(root, "store.db")}`],
    ...["--origin", `file:${join(root, "origin")}`],
    ...(options.flags ?? []),
  ];
  const env = { ...process.env, MILLRACE_LOG: process.env["MILLRACE_LOG"] ?? "error" };
  const child = spawn(process.execPath, [MAIN, ...flags], {
    env: { ...env, MILLRACE_FAILPOINT: options.failpoint ?? "" },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const exited = once(child, "exit");
  const [line] = await Promise.race([
    once(createInterface(child.stdout), "line"),
    exited.then(() => Promise.reject(new Error("the control plane ended before it was ready"))),
  ]);
  const { address } = JSON.parse(line as string) as { address: string };
  const clients = connectAll(address);
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    await kill(child, signal, exited);
    clients.close();
  };
  return { ...clients, address, exited, end };
}

export type ControlPlane = Awaited<ReturnType<typeof startControlPlane>>;

async function kill(
  child: ChildProcess,
  signal: NodeJS.Signals,
  exited: Promise<unknown>,
): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) child.kill(signal);
  await exited;
}
