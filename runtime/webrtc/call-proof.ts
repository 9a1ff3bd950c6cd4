// What proves that a step of a call is its sender's, whatever relays it came by: the sender's public key, of
// which its id is the hash, and a signature over everything that the step says. Whether a step belongs to a
// call that is under way is checked by `web-rtc-transport.ts`, against what it has said itself.
import { isIdOf } from "../peer/peer-identity.ts";
import { isSigned, type SigningKey } from "../signing-key.ts";
import type { CallStep, Signal } from "./signal.ts";

/** No signature of another purpose or of a later form fits. */
const PURPOSE = "millrace step of a call, form 1";

/** A step that is not its sender's. */
export class CallProofError extends Error {
  override readonly name = "CallProofError";
}

/** The step with the proof that it is ours. */
export function prove(signal: Signal, key: SigningKey): Signal {
  return { ...signal, key: key.publicKey, signature: key.sign(textOf(signal)) };
}

/** Throws CallProofError unless who is said to speak has signed all that the step says. */
export function checkProof(signal: Signal): void {
  const { from, key, signature, step } = signal;
  const what = `the ${step.kind} of ${from}`;
  if (key.length === 0 || signature.length === 0) {
    const why = "a relay has taken that away, or the peer is of a version without keys";
    throw new CallProofError(`${what} is not signed: ${why}`);
  }
  if (!isIdOf(from, key)) {
    throw new CallProofError(`${what} came with a key that is not of that id: somebody else's`);
  }
  if (!isSigned(textOf(signal), key, signature)) {
    throw new CallProofError(
      `${what} is not what it signed: it was changed, or is of another call`,
    );
  }
}

/**
 * What is signed: one line a field. No field may hold a line break (`signal.ts` and `call-end.ts` check them),
 * so no two steps have the same text; the kind of step says which side of the call speaks.
 */
function textOf({ pack, call, from, to, step }: Signal): Buffer {
  const said = [PURPOSE, step.kind, pack, from, to, call, ...fieldsOf(step)];
  return Buffer.from(said.join("\n"));
}

function fieldsOf(step: CallStep): string[] {
  if (step.kind === "ask" || step.kind === "refusal") return [];
  const { ufrag, password, fingerprint, addresses } = step.end;
  const places = addresses.map(({ host, port, priority }) => `${host} ${port} ${priority}`);
  return [step.nonce, ufrag, password, fingerprint, ...places];
}
