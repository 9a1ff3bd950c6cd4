// Keeps the process of calls: starts it with the first call, ends it when there has been none for a
// while, and fails all calls with it when it dies. Each call gets one socket from it, by a path in a
// folder that only this user can enter and that is gone once the socket stands.
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { moduleUrl } from "../module-url.ts";
import type { CallEnd } from "./call-end.ts";
import type { FromCallProcess, ToCallProcess } from "./call-process.ts";
import type { IceServer } from "./wrtc.ts";

/** Without a call for so long the process is ended: it holds 50 MB. */
const IDLE_MS_MAX = 30_000;
/** For the last bytes of all calls to leave, when it is closed. */
const CLOSE_MS_MAX = 3_000;
const MODULE = fileURLToPath(moduleUrl("./call-process.ts", import.meta.url));

type Unnumbered<Message> = Message extends unknown ? Omit<Message, "call"> : never;

/** A call while it is set up; afterwards its socket is all there is of it. */
export interface HostedCall {
  /** Our end, for the other side to answer. */
  offer(): Promise<CallEnd>;
  /** The other side has answered; `opening` is what both sides must say first. */
  connect(remote: CallEnd, opening: string): void;
  /** Our end, as the answer to the other's. */
  answer(remote: CallEnd, opening: string): Promise<CallEnd>;
  /** Resolves when the call stands, rejects when it comes to nothing. */
  readonly socket: Promise<Socket>;
  /** Gives it up, unless it stands. */
  end(reason: string): void;
}

/** What is under way in one call. */
interface Pending {
  readonly described: PromiseWithResolvers<CallEnd>;
  readonly socket: PromiseWithResolvers<Socket>;
  readonly server: Server;
  readonly folder: string;
}

export class CallHost {
  readonly #iceServers: readonly IceServer[];
  readonly #pending = new Map<number, Pending>();
  /** Calls that the process has not said to be over. */
  readonly #alive = new Set<number>();
  #process: ChildProcess | undefined;
  #idleMs = IDLE_MS_MAX;
  #idleTimer: NodeJS.Timeout | undefined;
  #calls = 0;

  constructor(iceServers: readonly IceServer[]) {
    this.#iceServers = iceServers;
  }

  /** Calls that stand or are being set up. */
  get calls(): number {
    return this.#alive.size;
  }

  /** Process id of the process of calls, while there is one. */
  get pid(): number | undefined {
    return this.#process?.pid;
  }

  /** Begins a call, which comes to nothing when `signal` aborts before its socket stands. */
  begin(signal: AbortSignal): HostedCall {
    this.#calls += 1;
    const call = this.#calls;
    const folder = mkdtempSync(join(tmpdir(), "millrace-call-"));
    const path = join(folder, "s");
    const server = createServer();
    server.maxConnections = 1;
    const pending = {
      described: Promise.withResolvers<CallEnd>(),
      socket: Promise.withResolvers<Socket>(),
      server,
      folder,
    };
    // Whoever waits for neither is not told.
    pending.described.promise.catch(() => {});
    pending.socket.promise.catch(() => {});
    this.#pending.set(call, pending);
    this.#alive.add(call);
    server.once("connection", (socket) => {
      pending.socket.resolve(socket);
      this.#settle(call);
    });
    server.on("error", (error) => this.#fail(call, error.message));
    const listening = once(server.listen(path), "listening");
    const abort = (): void => this.#fail(call, limitError(signal).message);
    signal.addEventListener("abort", abort, { once: true });
    pending.socket.promise
      .finally(() => signal.removeEventListener("abort", abort))
      .catch(() => {});
    if (signal.aborted) abort();
    const tell = (message: Unnumbered<ToCallProcess>): void => {
      listening.then(
        () => {
          if (this.#pending.has(call)) this.#tell({ ...message, call });
        },
        () => {},
      );
    };
    const iceServers = this.#iceServers;
    return {
      offer: () => {
        tell({ kind: "offer", iceServers });
        return pending.described.promise;
      },
      answer: (remote, opening) => {
        tell({ kind: "answer", iceServers, remote, purpose: { path, opening } });
        return pending.described.promise;
      },
      connect: (remote, opening) => {
        tell({ kind: "connect", remote, purpose: { path, opening } });
      },
      socket: pending.socket.promise,
      end: (reason) => this.#fail(call, reason),
    };
  }

  /** Begins no call any more, and ends the process once its calls are over or take too long for it. */
  async close(): Promise<void> {
    for (const call of [...this.#pending.keys()]) this.#fail(call, "calls are no longer taken");
    const child = this.#process;
    if (child === undefined) return;
    const exited = once(child, "exit");
    const timer = setTimeout(() => child.kill("SIGKILL"), CLOSE_MS_MAX);
    this.#idleMs = 0;
    this.#rest();
    await exited;
    clearTimeout(timer);
  }

  #tell(message: ToCallProcess): void {
    this.#process ??= this.#start();
    // The channel may have closed with the process; its exit is heard next, and fails the call.
    if (this.#process.connected) this.#process.send(message);
  }

  #start(): ChildProcess {
    clearTimeout(this.#idleTimer);
    const child = fork(MODULE, {
      // The collector is called by name: V8 does not see what libwebrtc holds.
      execArgv: ["--expose-gc", "--max-old-space-size=64"],
      // Nothing of our own environment is its business; many arenas of malloc are many megabytes.
      env: { MALLOC_ARENA_MAX: "2" },
      stdio: ["ignore", "ignore", "inherit", "ipc"],
    });
    child.on("message", (message: FromCallProcess) => this.#hear(message));
    child.on("error", () => {});
    child.once("exit", (code, signal) => {
      if (this.#process !== child) return;
      this.#process = undefined;
      this.#alive.clear();
      const reason = `the process of calls ended with ${signal ?? code}`;
      for (const call of [...this.#pending.keys()]) this.#fail(call, reason);
    });
    return child;
  }

  #hear(message: FromCallProcess): void {
    const { call } = message;
    if (message.kind === "described") {
      this.#pending.get(call)?.described.resolve(message.end);
      return;
    }
    this.#fail(call, message.reason);
    this.#alive.delete(call);
    this.#rest();
  }

  /** Ends the process in a while, where it has no calls until then. */
  #rest(): void {
    clearTimeout(this.#idleTimer);
    if (this.#alive.size > 0) return;
    this.#idleTimer = setTimeout(() => {
      if (this.#alive.size > 0) return;
      this.#process?.disconnect();
      this.#process = undefined;
    }, this.#idleMs);
    this.#idleTimer.unref();
  }

  #fail(call: number, reason: string): void {
    const pending = this.#pending.get(call);
    if (pending === undefined) return;
    const error = new Error(reason);
    pending.described.reject(error);
    pending.socket.reject(error);
    this.#settle(call);
    if (this.#process === undefined) this.#alive.delete(call);
    else this.#tell({ call, kind: "end" });
  }

  /** What was needed to set the call up is needed no more. */
  #settle(call: number): void {
    const pending = this.#pending.get(call);
    if (pending === undefined) return;
    this.#pending.delete(call);
    pending.server.close();
    rmSync(pending.folder, { recursive: true, force: true });
  }
}

/** Why a call that `signal` has ended came to nothing. */
export function limitError(signal: AbortSignal): Error {
  const { name, message } = signal.reason as Error;
  return new Error(name === "TimeoutError" ? "the call was not set up in time" : message);
}
