// Reads a build's log from the control plane.
import type { Build } from "../../proto/gen/millrace/v1/builds.ts";
import { BackOff } from "../../runtime/program/back-off.ts";
import type { ControlPlane } from "./control-plane.ts";
import { asCommandError, isServiceError, isTransient } from "./failure.ts";

/** So much of the end of a failed build's log is shown. */
const FAILED_LOG_BYTES = 4_096;

/** Tries of a log that is followed while the control plane is away: about a minute. */
const TRIES_MAX = 30;

export interface LogOptions {
  readonly id: string;
  readonly attempt: number;
  readonly offset: number;
  readonly follow: boolean;
}

/** Yields runs of log bytes in order, each byte once, across restarts of the control plane. */
export async function* readLog(plane: ControlPlane, options: LogOptions): AsyncGenerator<Buffer> {
  const backOff = new BackOff(200, 2_000);
  let { offset, attempt } = options;
  for (let tries = 0; ; tries++) {
    try {
      const stream = plane.builds.tailLog({ ...options, offset, attempt });
      for await (const message of stream) {
        const run = message as { offset: number; data: Buffer; attempt: number };
        // A new attempt begins its log anew.
        if (run.attempt !== attempt && attempt !== 0) offset = 0;
        attempt = run.attempt;
        offset = run.offset + run.data.length;
        tries = 0;
        yield run.data;
      }
      return;
    } catch (error) {
      if (!isServiceError(error)) throw error;
      if (!isTransient(error) || !options.follow || tries >= TRIES_MAX) {
        throw asCommandError(error, plane.address);
      }
      await backOff.wait();
    }
  }
}

/** Prints the end of the log of a build that failed, and how to read the whole of it. */
export async function printFailedLog(plane: ControlPlane, build: Build): Promise<void> {
  const offset = Math.max(0, build.logBytes - FAILED_LOG_BYTES);
  const runs: Buffer[] = [];
  const { id, attempt } = build;
  for await (const run of readLog(plane, { id, attempt, offset, follow: false })) runs.push(run);
  const text = Buffer.concat(runs).toString("utf8").trimEnd();
  if (text !== "") console.error(offset > 0 ? text.slice(text.indexOf("\n") + 1) : text);
  if (offset > 0) console.error(`(the end of it; all of it: millrace logs ${build.id})`);
}
