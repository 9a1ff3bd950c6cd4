// Follows a build or a rollout through a watch until it has ended, across restarts of the control plane.
import type { ClientReadableStream } from "@grpc/grpc-js";
import { retryAfterMs } from "../../runtime/grpc/rpc-error.ts";
import { BackOff, pause } from "../../runtime/program/back-off.ts";
import { CommandError, EXIT } from "../../runtime/program/exit-codes.ts";
import { asCommandError, isServiceError, isTransient } from "./failure.ts";

/** Without contact for so long, a waiting command gives up; the work itself goes on. */
const SILENCE_MS_MAX = 60_000;

export interface FollowOptions<State> {
  /** Opens the watch anew; its first message is the present state. */
  readonly open: () => ClientReadableStream<unknown>;
  /** The state in a message of the watch. */
  readonly read: (message: unknown) => State | undefined;
  readonly hasEnded: (state: State) => boolean;
  readonly onState: (state: State) => void;
  readonly address: string;
  /** Aborted where the command stops waiting; its reason is thrown. */
  readonly signal: AbortSignal;
}

/** Resolves with the last state. Throws CommandError, or the signal's reason. */
export async function follow<State>(options: FollowOptions<State>): Promise<State> {
  const backOff = new BackOff(200, 2_000);
  let heardAt = performance.now();
  for (;;) {
    let retryMs = 0;
    try {
      const last = await followOnce(options, () => {
        heardAt = performance.now();
        backOff.reset();
      });
      if (last !== undefined) return last;
    } catch (error) {
      if (options.signal.aborted) throw options.signal.reason;
      if (!isServiceError(error)) throw error;
      if (!isTransient(error)) throw asCommandError(error, options.address);
      if (performance.now() - heardAt > SILENCE_MS_MAX) {
        const seconds = SILENCE_MS_MAX / 1_000;
        const problem = `no contact with ${options.address} for ${seconds} s; the work may go on`;
        throw new CommandError(EXIT.error, problem);
      }
      retryMs = retryAfterMs(error);
    }
    await pause(retryMs || backOff.next(), options.signal);
    options.signal.throwIfAborted();
  }
}

/** Reads one watch; resolves with the final state, or with undefined where it broke off before. */
async function followOnce<State>(
  options: FollowOptions<State>,
  onContact: () => void,
): Promise<State | undefined> {
  options.signal.throwIfAborted();
  const stream = options.open();
  const cancel = (): void => stream.cancel();
  options.signal.addEventListener("abort", cancel, { once: true });
  try {
    for await (const message of stream) {
      onContact();
      const state = options.read(message);
      if (state === undefined) continue;
      options.onState(state);
      if (options.hasEnded(state)) return state;
    }
    return undefined;
  } finally {
    options.signal.removeEventListener("abort", cancel);
    stream.cancel();
    stream.on("error", () => {});
  }
}
