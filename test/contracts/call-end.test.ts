// What peers say of their ends: read back as it was written, refused at each rule, and never a line of
// its own in a session description.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { PeerSignal } from "../../proto/gen/millrace/v1/fleet.ts";
import {
  CALL_ADDRESSES_MAX,
  type CallEnd,
  CallEndError,
  callEndOf,
  checkCallEnd,
  onLoopback,
  sdpOf,
} from "../../runtime/webrtc/call-end.ts";
import { readSignal, type Signal, SignalError, writeSignal } from "../../runtime/webrtc/signal.ts";

const address = { host: "127.0.0.1", port: 40_000, priority: 2_122_063_615 };
const good: CallEnd = {
  ufrag: "cZ4u",
  password: "QbiGc4SMwiOQcjFCesYv8zSn",
  fingerprint: "87".repeat(32),
  addresses: [address, { host: "::1", port: 52_485, priority: 1 }],
};

const ice = (minLength: number, maxLength: number) =>
  fc.string({
    minLength,
    maxLength,
    unit: fc.constantFrom(..."ABCxyz0189+/"),
  });
/** Objects as literals make them. */
const record = <Fields extends object>(
  fields: { [Name in keyof Fields]: fc.Arbitrary<Fields[Name]> },
): fc.Arbitrary<Fields> => fc.record(fields, { noNullPrototype: true }) as fc.Arbitrary<Fields>;

const ends: fc.Arbitrary<CallEnd> = record({
  ufrag: ice(4, 32),
  password: ice(22, 64),
  fingerprint: fc
    .uint8Array({ minLength: 32, maxLength: 32 })
    .map((b) => Buffer.from(b).toString("hex")),
  addresses: fc.array(
    record({
      host: fc.constantFrom(
        "127.0.0.1",
        "10.1.2.3",
        "192.168.0.9",
        "::1",
        "fd00::2",
        "2001:db8::7",
      ),
      port: fc.integer({ min: 1024, max: 65_535 }),
      priority: fc.nat(2 ** 31 - 1),
    }),
    { maxLength: CALL_ADDRESSES_MAX },
  ),
});

test("an end is read back from the description that was written of it", () => {
  fc.assert(
    fc.property(ends, fc.constantFrom("offer" as const, "answer" as const), (end, type) => {
      checkCallEnd(end);
      assert.deepEqual(callEndOf(sdpOf(end, type)), end);
    }),
  );
});

test("threat 23: an end that breaks a rule is refused by field", () => {
  const at = (change: object): CallEnd => ({ ...good, addresses: [{ ...address, ...change }] });
  const cases: [CallEnd, RegExp][] = [
    [{ ...good, ufrag: "abc" }, /ufrag/],
    [{ ...good, ufrag: "abcd\r\na=setup:passive" }, /ufrag/],
    [{ ...good, password: "short" }, /password/],
    [{ ...good, password: `${"a".repeat(24)}\n` }, /password/],
    [{ ...good, fingerprint: "87".repeat(31) }, /fingerprint/],
    [{ ...good, fingerprint: "87".repeat(20) }, /fingerprint/],
    [
      { ...good, addresses: new Array(CALL_ADDRESSES_MAX + 1).fill(address) },
      /number of addresses/,
    ],
    [at({ host: "victim.example" }), /host/],
    [at({ host: "127.0.0.1 1" }), /host/],
    [at({ host: "fe80::1%eth0" }), /host/],
    [at({ host: "0.0.0.0" }), /host/],
    [at({ host: "255.255.255.255" }), /host/],
    [at({ host: "224.0.0.251" }), /host/],
    [at({ host: "ff02::fb" }), /host/],
    [at({ port: 53 }), /port/],
    [at({ port: 65_536 }), /port/],
    [at({ priority: 2 ** 31 }), /priority/],
  ];
  checkCallEnd(good);
  for (const [end, field] of cases) {
    assert.throws(
      () => checkCallEnd(end),
      (error) => error instanceof CallEndError && field.test(error.message),
      JSON.stringify(end),
    );
  }
});

test("threat 10: beyond loopback nothing is left of an end where that is not allowed", () => {
  const hosts = ["127.8.8.8", "::1", "10.0.0.1", "8.8.8.8", "fd00::2", "::ffff:127.0.0.1"];
  const end = { ...good, addresses: hosts.map((host) => ({ ...address, host })) };
  assert.deepEqual(
    onLoopback(end).addresses.map(({ host }) => host),
    ["127.8.8.8", "::1", "::ffff:127.0.0.1"],
  );
});

test("a step is read as it was written, and random bytes are a step or refused", () => {
  const id = fc.constantFrom("agent-1", "b-0.1", "r");
  const nonce = fc
    .uint8Array({ minLength: 16, maxLength: 16 })
    .map((b) => Buffer.from(b).toString("hex"));
  const noneOr = (length: number) =>
    fc
      .oneof(fc.constant([]), fc.uint8Array({ minLength: length, maxLength: length }))
      .map((bytes) => Buffer.from(bytes));
  const signals: fc.Arbitrary<Signal> = record({
    pack: id,
    call: nonce,
    from: fc.oneof(id, fc.constant("")),
    to: id,
    fromRelay: fc.oneof(id, fc.constant("")),
    toRelay: fc.oneof(id, fc.constant("")),
    key: noneOr(32),
    signature: noneOr(64),
    step: fc.oneof(
      fc.constant({ kind: "ask" as const }),
      record({ kind: fc.constant("offer" as const), end: ends, nonce }),
      record({ kind: fc.constant("answer" as const), end: ends, nonce }),
      record({ kind: fc.constant("refusal" as const), reason: fc.string({ maxLength: 200 }) }),
    ),
  });
  fc.assert(
    fc.property(signals, fc.nat(), fc.nat(255), (signal, place, value) => {
      const bytes = PeerSignal.encode(writeSignal(signal)).finish();
      assert.deepEqual(readSignal(PeerSignal.decode(bytes)), signal);
      bytes[place % bytes.length] = value;
      try {
        readSignal(PeerSignal.decode(bytes));
      } catch (error) {
        // What cannot be decoded does not come so far: gRPC ends the stream.
        const isRefused = error instanceof SignalError || error instanceof CallEndError;
        const { stack = "" } = error as Error;
        assert(isRefused || stack.includes("protobuf") || stack.includes("decode"), stack);
      }
    }),
  );
});
