// A control plane as a process of its own, to be killed and started again on the same root.
import { join } from "node:path";
import { startProgram } from "../lab/start-program.ts";
import { connectAll } from "./queue-system.ts";

export interface ControlPlaneOptions {
  /** A place at which it kills itself. */
  readonly failpoint?: string;
  /** A file that names such places, once it is there. */
  readonly armed?: string;
  readonly flags?: readonly string[];
  /** Another store than the SQLite file below the root. */
  readonly store?: string;
}

/** Starts a control plane on `root` and resolves when it is ready. */
export async function startControlPlane(root: string, options: ControlPlaneOptions = {}) {
  const flags = [
    ...["--listen", "127.0.0.1:0"],
    ...["--store", options.store ?? `sqlite:${join(root, "store.db")}`],
    ...["--origin", `file:${join(root, "origin")}`],
    ...(options.flags ?? []),
  ];
  const env = {
    MILLRACE_LOG: process.env["MILLRACE_LOG"] ?? "error",
    MILLRACE_FAILPOINT: options.failpoint ?? "",
    ...(options.armed !== undefined && { MILLRACE_FAILPOINT_FILE: options.armed }),
  };
  const program = await startProgram<{ address: string; id: string }>("controlplane", flags, env);
  const { address, id } = program.ready;
  const clients = connectAll(address);
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    await program.end(signal);
    clients.close();
  };
  return { ...clients, address, id, pid: program.pid, exited: program.exited, end };
}

export type ControlPlane = Awaited<ReturnType<typeof startControlPlane>>;
