// Steps of calls as they pass between peers and relays, read from protobuf and written to it: every
// field is checked here, by relays before they pass a step on and by peers before they follow it.
import type { CallEnd as CallEndMessage, PeerSignal } from "../../proto/gen/millrace/v1/fleet.ts";
import { PUBLIC_KEY_BYTES, SIGNATURE_BYTES } from "../signing-key.ts";
import { type CallEnd, checkCallEnd } from "./call-end.ts";

const ID = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
const NONCE = /^[0-9a-f]{32}$/;
/** Characters of a refusal's reason. */
const REFUSAL_MAX = 200;
/** What is said for another, as a relay does with refusals, has no proof. */
const NO_PROOF = { key: Buffer.alloc(0), signature: Buffer.alloc(0) };

export type CallStep =
  | { readonly kind: "ask" }
  | { readonly kind: "offer"; readonly end: CallEnd; readonly nonce: string }
  | { readonly kind: "answer"; readonly end: CallEnd; readonly nonce: string }
  | { readonly kind: "refusal"; readonly reason: string };

/** One step of a call between two members of a pack's swarm. */
export interface Signal {
  readonly pack: string;
  /** The caller's nonce. */
  readonly call: string;
  /** Empty until a relay has set it. */
  readonly from: string;
  readonly to: string;
  /** Empty where it is not known. */
  readonly fromRelay: string;
  readonly toRelay: string;
  readonly step: CallStep;
  /** What proves whose step it is (`call-proof.ts`), passed on as it came; both are empty where nothing does. */
  readonly key: Buffer;
  readonly signature: Buffer;
}

/** A step breaks a rule. */
export class SignalError extends Error {
  override readonly name = "SignalError";
}

/** Reads a step; throws SignalError or CallEndError naming the field. */
export function readSignal(message: PeerSignal): Signal {
  const { pack, call, from, to, fromRelay, toRelay, key, signature } = message;
  check(ID.test(pack), "pack");
  check(NONCE.test(call), "call");
  check(from === "" || ID.test(from), "from");
  check(ID.test(to), "to");
  check(fromRelay === "" || ID.test(fromRelay), "from_relay");
  check(toRelay === "" || ID.test(toRelay), "to_relay");
  check(key.length === 0 || key.length === PUBLIC_KEY_BYTES, "key");
  check(signature.length === 0 || signature.length === SIGNATURE_BYTES, "signature");
  return { pack, call, from, to, fromRelay, toRelay, key, signature, step: readStep(message) };
}

/** The message for a step. */
export function writeSignal({ step, ...rest }: Signal): PeerSignal {
  const nonce = step.kind === "offer" || step.kind === "answer" ? step.nonce : "";
  return { ...rest, nonce, step: writeStep(step) };
}

/** The first step of a call, not yet proven. */
export function askOf(pack: string, call: string, from: string, to: string): Signal {
  return { pack, call, from, to, fromRelay: "", toRelay: "", step: { kind: "ask" }, ...NO_PROOF };
}

/** What whom a step is for says to it, not yet proven. */
export function replyTo(signal: Signal, step: CallStep): Signal {
  const { pack, call, from, to, fromRelay, toRelay } = signal;
  const way = { from: to, to: from, fromRelay: toRelay, toRelay: fromRelay };
  return { pack, call, ...way, step, ...NO_PROOF };
}

function readStep({ step, nonce }: PeerSignal): CallStep {
  switch (step?.$case) {
    case "ask":
      return { kind: "ask" };
    case "offer":
      check(NONCE.test(nonce), "nonce");
      return { kind: "offer", end: readEnd(step.offer), nonce };
    case "answer":
      check(NONCE.test(nonce), "nonce");
      return { kind: "answer", end: readEnd(step.answer), nonce };
    case "refusal":
      return { kind: "refusal", reason: step.refusal.slice(0, REFUSAL_MAX) };
    case undefined:
      throw new SignalError("a call's step says nothing that is known here");
    default:
      return step satisfies never;
  }
}

function writeStep(step: CallStep): PeerSignal["step"] {
  switch (step.kind) {
    case "ask":
      return { $case: "ask", ask: true };
    case "offer":
      return { $case: "offer", offer: writeEnd(step.end) };
    case "answer":
      return { $case: "answer", answer: writeEnd(step.end) };
    case "refusal":
      return { $case: "refusal", refusal: step.reason };
    default:
      return step satisfies never;
  }
}

function readEnd({ ufrag, password, fingerprint, addresses }: CallEndMessage): CallEnd {
  const end = {
    ufrag,
    password,
    fingerprint: Buffer.from(fingerprint).toString("hex"),
    addresses: addresses.map(({ host, port, priority }) => ({ host, port, priority })),
  };
  checkCallEnd(end);
  return end;
}

function writeEnd({ ufrag, password, fingerprint, addresses }: CallEnd): CallEndMessage {
  return {
    ufrag,
    password,
    fingerprint: Buffer.from(fingerprint, "hex"),
    addresses: addresses.map((address) => ({ ...address })),
  };
}

function check(isRight: boolean, field: string): void {
  if (!isRight) throw new SignalError(`the ${field} of a call's step breaks its rules`);
}
