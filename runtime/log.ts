// The one logger of a program: JSON lines on stderr, level by MILLRACE_LOG (default info).
import { destination, type Logger, pino } from "pino";

export type Log = Logger;

/** Makes a program's logger; `bindings` stand on every line. */
export function createLog(program: string, bindings: Record<string, unknown> = {}): Log {
  return pino(
    {
      level: process.env["MILLRACE_LOG"] ?? "info",
      base: { program, pid: process.pid, ...bindings },
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
    },
    destination({ fd: 2, sync: true }),
  );
}

/** Ends the process, loudly, on anything nobody caught: going on would mean an unknown state. */
export function crashOnUnhandled(log: Log): void {
  process.on("uncaughtException", (error) => {
    log.fatal({ err: error }, "uncaught exception");
    process.exit(70);
  });
  process.on("unhandledRejection", (reason) => {
    log.fatal({ err: reason }, "unhandled rejection");
    process.exit(70);
  });
}
