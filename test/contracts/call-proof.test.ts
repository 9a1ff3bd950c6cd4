// What a step of a call is proven by: nothing of it can be changed, left out or taken from another step, and
// nobody else can say it. And where a peer's id and key are kept.
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { idOf, isIdOf, newIdentity } from "../../runtime/peer/peer-identity.ts";
import { keptIdentity } from "../../runtime/program/kept-id.ts";
import { SigningKey } from "../../runtime/signing-key.ts";
import type { CallEnd } from "../../runtime/webrtc/call-end.ts";
import { CallProofError, checkProof, prove } from "../../runtime/webrtc/call-proof.ts";
import { askOf, type CallStep, replyTo, type Signal } from "../../runtime/webrtc/signal.ts";

const caller = newIdentity("agent");
const called = newIdentity("relay");
const stranger = newIdentity("agent");
const end: CallEnd = {
  ufrag: "cZ4u",
  password: "QbiGc4SMwiOQcjFCesYv8zSn",
  fingerprint: "87".repeat(32),
  addresses: [
    { host: "127.0.0.1", port: 40_000, priority: 7 },
    { host: "::1", port: 52_485, priority: 1 },
  ],
};
const nonce = "0a".repeat(16);
const asked = askOf("b-1.1", "c0".repeat(16), caller.id, called.id);
const offered = replyTo(asked, { kind: "offer", end, nonce });
const answered = { ...asked, step: { kind: "answer", end, nonce } as const };
const steps = [
  prove(asked, caller.key),
  prove(offered, called.key),
  prove(answered, caller.key),
] as const;
const [ask, offer, answer] = steps;

function refused(step: Signal, why: RegExp): void {
  assert.throws(
    () => checkProof(step),
    (error) => error instanceof CallProofError && why.test(error.message),
    JSON.stringify(step),
  );
}

/** The step with another end. */
function withEnd({ step, ...rest }: Signal, change: Partial<CallEnd>): Signal {
  assert(step.kind === "offer" || step.kind === "answer");
  return { ...rest, step: { ...step, end: { ...step.end, ...change } } };
}

test("threat 23: a step is its sender's as it was said, and in no other way", () => {
  for (const step of steps) checkProof(step);
  // What relays set on the way is theirs to say.
  checkProof({ ...ask, fromRelay: "relay-1", toRelay: "relay-2" });
  const other = "0b".repeat(16);
  const [first, second] = end.addresses as [CallEnd["addresses"][0], CallEnd["addresses"][0]];
  const changed: Signal[] = [
    ...steps.flatMap((step) => [
      { ...step, pack: "b-2.1" },
      { ...step, call: other },
      { ...step, to: stranger.id },
    ]),
    ...[offer, answer].flatMap((step) => [
      { ...step, step: { ...(step.step as CallStep & { kind: "offer" }), nonce: other } },
      withEnd(step, { fingerprint: "88".repeat(32) }),
      withEnd(step, { ufrag: "cZ4v" }),
      withEnd(step, { password: "A".repeat(24) }),
      withEnd(step, { addresses: [] }),
      withEnd(step, { addresses: [second, first] }),
      withEnd(step, { addresses: [{ ...first, port: 40_001 }, second] }),
      withEnd(step, { addresses: [{ ...first, host: "127.0.0.2" }, second] }),
      withEnd(step, { addresses: [{ ...first, priority: 8 }, second] }),
    ]),
    // Said by the same peer in the other part of a call, or in another step.
    { ...answer, step: offer.step },
    { ...offer, step: answer.step },
    { ...ask, step: answer.step },
    { ...answer, signature: ask.signature },
  ];
  for (const step of changed) refused(step, /is not what it signed/);
});

test("threat 23: nobody else can say a step, nor say it without a proof", () => {
  for (const step of steps) {
    refused({ ...step, key: Buffer.alloc(0) }, /is not signed: a relay/);
    refused({ ...step, signature: Buffer.alloc(0) }, /is not signed: a relay/);
    refused({ ...step, from: stranger.id }, /a key that is not of that id/);
    refused({ ...step, key: stranger.key.publicKey }, /a key that is not of that id/);
    refused(prove(step, stranger.key), /a key that is not of that id/);
    // Signed by a stranger, with the right key beside it.
    refused({ ...prove(step, stranger.key), key: step.key }, /is not what it signed/);
  }
});

test("any other key and any other signature is refused, whatever its bytes", () => {
  const bytes = (length: number) =>
    fc.uint8Array({ minLength: length, maxLength: length }).map((each) => Buffer.from(each));
  fc.assert(
    fc.property(bytes(32), bytes(64), fc.nat(63), fc.nat(7), (key, signature, at, bit) => {
      assert(!isIdOf(caller.id, key));
      // Its own id, so that the signature is looked at.
      const own = { ...ask, from: idOf("agent", key), key };
      refused({ ...own, signature }, /is not what it signed/);
      const flipped = Buffer.from(ask.signature);
      flipped[at] = (flipped[at] as number) ^ (1 << bit);
      refused({ ...ask, signature: flipped }, /is not what it signed/);
    }),
  );
});

test("a peer keeps its id and key over restarts, and nobody else can read them", () => {
  const root = mkdtempSync(join(tmpdir(), "millrace-identity-"));
  try {
    const first = keptIdentity(root, "agent");
    assert.match(first.id, /^agent-[0-9a-f]{32}$/);
    const path = join(root, "agent.json");
    assert.equal(statSync(path).mode & 0o777, 0o600);
    const again = keptIdentity(root, "agent");
    assert.equal(again.id, first.id);
    assert(again.key && first.key);
    checkProof(prove({ ...asked, from: again.id }, again.key));
    assert.notEqual(newIdentity("agent").id, first.id);
    // An id from before there were keys stays, and proves nothing.
    writeFileSync(path, '{"id":"agent-0123456789ab"}\n');
    assert.deepEqual(keptIdentity(root, "agent"), { id: "agent-0123456789ab" });
    assert.match(readFileSync(path, "utf8"), /agent-0123456789ab/);
    const key = SigningKey.generate().secret;
    writeFileSync(path, JSON.stringify({ id: first.id, key }));
    assert.throws(() => keptIdentity(root, "agent"), /agent.json: the id .* delete the file/);
  } finally {
    rmSync(root, { recursive: true });
  }
});
