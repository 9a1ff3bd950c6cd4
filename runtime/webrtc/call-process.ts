// The process of calls: the only one that loads libwebrtc, so that a crash or a leak of it costs a
// program its calls and nothing else. Its parent (`call-host.ts`) tells it by messages what to do and
// serves a local socket for each call; it ends when its parent does.

import { Call } from "./call.ts";
import type { CallEnd } from "./call-end.ts";
import type { CallPurpose } from "./data-pipe.ts";
import { type IceServer, loadWrtc } from "./wrtc.ts";

/** What the parent says; `call` is its number of the call. */
export type ToCallProcess = { readonly call: number } & (
  | { readonly kind: "offer"; readonly iceServers: readonly IceServer[] }
  | { readonly kind: "connect"; readonly remote: CallEnd; readonly purpose: CallPurpose }
  | {
      readonly kind: "answer";
      readonly iceServers: readonly IceServer[];
      readonly remote: CallEnd;
      readonly purpose: CallPurpose;
    }
  | { readonly kind: "end" }
);

/** What it hears. */
export type FromCallProcess = { readonly call: number } & (
  | { readonly kind: "described"; readonly end: CallEnd }
  | { readonly kind: "ended"; readonly reason: string }
);

/** Ended calls hold 0.3 MB each until they are collected, and V8 does not know of it. */
const ENDED_UNCOLLECTED_MAX = 16;

const CHECK_MS = 2_000;
const LEAVE_MS = 100;

const { RTCPeerConnection } = loadWrtc();
/**
 * Never used: libwebrtc starts its threads with the first connection and ends them with the last, and
 * each such turn leaves 0.7 MB behind.
 */
const keeper = new RTCPeerConnection({ iceServers: [] });
const calls = new Map<number, Call>();
let uncollected = 0;

process.on("disconnect", () => {
  for (const call of calls.values()) call.end("the program has gone");
  keeper.close();
  // For the last datagrams, by which the other sides learn of it.
  setTimeout(() => process.exit(0), LEAVE_MS);
});
setInterval(() => {
  for (const call of calls.values()) call.check();
}, CHECK_MS);
process.on("message", (message: ToCallProcess) => void obey(message));

async function obey(message: ToCallProcess): Promise<void> {
  const { call: number } = message;
  try {
    switch (message.kind) {
      case "offer": {
        const end = await begin(number, message.iceServers).offer();
        tell({ call: number, kind: "described", end });
        return;
      }
      case "answer": {
        const call = begin(number, message.iceServers);
        const end = await call.answer(message.remote, message.purpose);
        tell({ call: number, kind: "described", end });
        return;
      }
      case "connect":
        await calls.get(number)?.connect(message.remote, message.purpose);
        return;
      case "end":
        calls.get(number)?.end("ended here");
        // Also where it has not begun, so that the parent counts right.
        tell({ call: number, kind: "ended", reason: "ended here" });
        return;
      default:
        message satisfies never;
    }
  } catch (error) {
    calls.get(number)?.end((error as Error).message);
  }
}

function begin(number: number, iceServers: readonly IceServer[]): Call {
  const call = new Call(new RTCPeerConnection({ iceServers }), (reason) => {
    calls.delete(number);
    tell({ call: number, kind: "ended", reason });
    uncollected += 1;
    if (uncollected < ENDED_UNCOLLECTED_MAX) return;
    uncollected = 0;
    globalThis.gc?.();
  });
  calls.set(number, call);
  return call;
}

function tell(message: FromCallProcess): void {
  // A parent that has gone hears nothing; `disconnect` follows.
  if (process.connected) process.send?.(message, undefined, {}, () => {});
}
