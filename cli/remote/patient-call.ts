// Sends a request again that a dying control plane did not answer, or one between two leaders. Only for requests
// that mean the same when they come twice: they carry a key of their own, ask for a state, or read.
import type { ServiceError } from "@grpc/grpc-js";
import { retryAfterMs } from "../../runtime/grpc/rpc-error.ts";
import { BackOff, pause } from "../../runtime/program/back-off.ts";
import { asCommandError, isServiceError, isTransient } from "./failure.ts";

/** A control plane that was there a moment ago is back within seconds. */
const AWAY_MS_MAX = 30_000;
/** Another leads 4 s after the last one died; who only reads is not kept much longer. */
const READ_AWAY_MS_MAX = 8_000;

export interface PatientOptions {
  readonly address: string;
  /** Aborted where the command stops waiting; its reason is thrown. */
  readonly signal?: AbortSignal;
}

/** Asks for what only the leader can tell. Throws CommandError. */
export function patientRead<Answer>(
  options: PatientOptions,
  send: () => Promise<Answer>,
): Promise<Answer> {
  return patientCall(options, send, READ_AWAY_MS_MAX);
}

/** Resolves with the answer. Throws CommandError, or the signal's reason. */
export async function patientCall<Answer>(
  { address, signal }: PatientOptions,
  send: () => Promise<Answer>,
  awayMsMax = AWAY_MS_MAX,
): Promise<Answer> {
  const backOff = new BackOff(200, 2_000);
  let awaySince: number | undefined;
  for (;;) {
    let retryMs: number;
    try {
      return await send();
    } catch (error) {
      signal?.throwIfAborted();
      if (!isServiceError(error)) throw error;
      // What was never reached is more likely a wrong address than a restart.
      const isWorthIt = isTransient(error) && (awaySince !== undefined || wasReached(error));
      awaySince ??= performance.now();
      if (!isWorthIt || performance.now() - awaySince > awayMsMax) {
        throw asCommandError(error, address);
      }
      retryMs = retryAfterMs(error) || backOff.next();
    }
    await pause(retryMs, signal);
    signal?.throwIfAborted();
  }
}

/** How grpc-js begins its sentence where there was no connection to send over. */
const wasReached = ({ details }: ServiceError): boolean =>
  !details.startsWith("No connection established");
