// What a failed call means for the person at the terminal: an exit code and a sentence.
import { type ServiceError, status } from "@grpc/grpc-js";
import { failureCause } from "../../runtime/grpc/failure-cause.ts";
import { CommandError, EXIT, type ExitCode } from "../../runtime/program/exit-codes.ts";

const CODES: Partial<Record<status, ExitCode>> = {
  [status.INVALID_ARGUMENT]: EXIT.usage,
  [status.NOT_FOUND]: EXIT.usage,
  [status.OUT_OF_RANGE]: EXIT.usage,
  [status.FAILED_PRECONDITION]: EXIT.usage,
  [status.PERMISSION_DENIED]: EXIT.refused,
  [status.UNAUTHENTICATED]: EXIT.refused,
  [status.ABORTED]: EXIT.conflict,
  [status.ALREADY_EXISTS]: EXIT.conflict,
};

/** Whether a thrown value is a gRPC error. */
export function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && "code" in error && "details" in error;
}

/** Whether the call may succeed when it is sent again: the server was away or restarting. */
export function isTransient(error: unknown): boolean {
  if (!isServiceError(error)) return false;
  return error.code === status.UNAVAILABLE || error.code === status.DEADLINE_EXCEEDED;
}

/** What a failed call becomes; `address` is where it went. */
export function asCommandError(error: ServiceError, address: string): CommandError {
  if (isTransient(error)) {
    const cause = failureCause(error.details ?? "");
    const details = cause === "" ? "" : ` (${cause})`;
    return new CommandError(
      EXIT.error,
      `cannot reach the control plane at ${address}; is \`millrace up\` running there?${details}`,
    );
  }
  return new CommandError(CODES[error.code] ?? EXIT.error, error.details);
}
