// Calls of the control plane that must be answered: repeated while it is away, with back-off, until it
// answers or refuses. A refusal is a value, because who asked decides what it means.
import { type ServiceError, status } from "@grpc/grpc-js";
import { BackOff } from "../runtime/program/back-off.ts";

/** "Not now": the server is away, stopping, slow, or stumbled. */
const TRANSIENT: readonly number[] = [
  status.UNAVAILABLE,
  status.DEADLINE_EXCEEDED,
  status.CANCELLED,
  status.INTERNAL,
  status.UNKNOWN,
];

/** A try may take so long; a server that hangs is asked again. */
export const TRY_MS_MAX = 10_000;

export type Answer<Response> =
  | { readonly kind: "answered"; readonly response: Response }
  | { readonly kind: "refused"; readonly code: number; readonly details: string }
  | { readonly kind: "given-up" };

/** Repeats `send` until it is answered or refused, or `signal` is aborted. */
export async function untilAnswered<Response>(
  send: () => Promise<Response>,
  signal: AbortSignal,
): Promise<Answer<Response>> {
  const backOff = new BackOff(100, 2_000);
  while (!signal.aborted) {
    try {
      return { kind: "answered", response: await send() };
    } catch (error) {
      if (signal.aborted) break;
      const refused = serviceError(error);
      if (!TRANSIENT.includes(refused.code)) {
        return { kind: "refused", code: refused.code, details: refused.details };
      }
    }
    await backOff.wait(signal);
  }
  return { kind: "given-up" };
}

/** The error of a call; anything else is a bug and thrown again. */
export function serviceError(error: unknown): ServiceError {
  if (typeof (error as ServiceError).code === "number") return error as ServiceError;
  throw error;
}

/** Whether a refusal means that the attempt is another worker's by now, or that it has ended. */
export function isFenced(code: number): boolean {
  return code === status.ABORTED || code === status.NOT_FOUND;
}
