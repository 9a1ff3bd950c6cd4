// How a program says that it is ready, and how it ends: once politely, at the second signal at once.
import { flushCompileCache } from "node:module";
import type { Log } from "../log.ts";

/** What a program prints on stdout, in one line of JSON, when it is ready. */
export interface Ready {
  readonly program: string;
  readonly id?: string;
  /** Where its gRPC server listens. */
  readonly address?: string;
  /** Where its peer listens. */
  readonly swarm?: string;
  /** Port of its metrics. */
  readonly metrics?: number | undefined;
}

/** Tells whoever started this program that it is ready. */
export function printReady(ready: Ready): void {
  // Node keeps compiled modules at a process's end; the programs started next want them now.
  flushCompileCache();
  process.stdout.write(`${JSON.stringify({ ready: true, ...ready })}\n`);
}

/** Runs `stop` at SIGTERM or SIGINT, then exits with 0; a second signal exits at once. */
export function stopOnSignal(log: Log, stop: () => Promise<void>): void {
  let stopping = false;
  const onSignal = (signal: NodeJS.Signals): void => {
    if (stopping) process.exit(130);
    stopping = true;
    log.info({ signal }, "stopping");
    stop().then(
      () => process.exit(0),
      (error: unknown) => {
        log.error({ err: error }, "stopping failed");
        process.exit(1);
      },
    );
  };
  process.on("SIGTERM", onSignal);
  process.on("SIGINT", onSignal);
}
