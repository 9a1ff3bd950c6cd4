// What versions of Millrace promise each other on the wire: whatever a later one adds is passed over, and whatever
// an earlier one does not say has a default. For every message of the API.
import assert from "node:assert/strict";
import { test } from "node:test";
import * as builds from "../../proto/gen/millrace/v1/builds.ts";
import * as diagnosis from "../../proto/gen/millrace/v1/diagnosis.ts";
import * as fleet from "../../proto/gen/millrace/v1/fleet.ts";
import * as garbage from "../../proto/gen/millrace/v1/garbage.ts";
import * as history from "../../proto/gen/millrace/v1/history.ts";
import * as leadership from "../../proto/gen/millrace/v1/leadership.ts";
import * as releaseFormat from "../../proto/gen/millrace/v1/release_format.ts";
import * as rollouts from "../../proto/gen/millrace/v1/rollouts.ts";
import * as workers from "../../proto/gen/millrace/v1/workers.ts";

/** Fields 1001 to 1004, one of each wire type that is in use: varint, 64 bits, bytes, 32 bits. */
const ADDED = Buffer.from([
  ...[0xc8, 0x3e, 0x96, 0x01],
  ...[0xd1, 0x3e, 1, 2, 3, 4, 5, 6, 7, 8],
  ...[0xda, 0x3e, 3, 0x08, 0x96, 0x01],
  ...[0xe5, 0x3e, 1, 2, 3, 4],
]);

interface MessageType {
  encode(message: unknown): { finish(): Uint8Array };
  decode(bytes: Uint8Array): unknown;
  fromPartial(partial: object): unknown;
}

const modules = [
  builds,
  diagnosis,
  fleet,
  garbage,
  history,
  leadership,
  releaseFormat,
  rollouts,
  workers,
];
const messages = modules.flatMap((module) =>
  Object.entries(module).filter((entry): entry is [string, MessageType] => {
    const [, value] = entry as [string, Partial<MessageType> | undefined];
    return typeof value === "object" && typeof value.decode === "function";
  }),
);

test("every message is read without what a later version adds", () => {
  assert.ok(messages.length > 90, `${messages.length} messages`);
  for (const [name, type] of messages) {
    const empty = type.fromPartial({});
    assert.deepEqual(type.decode(ADDED), empty, name);
    const bytes = Buffer.concat([ADDED, type.encode(empty).finish(), ADDED]);
    assert.deepEqual(type.decode(bytes), empty, name);
  }
});

test("what an earlier version does not say means that there is nothing to it", () => {
  assert.equal(workers.LeaseResponse.decode(new Uint8Array()).retryAfterMs, 0);
  const report = fleet.RelayReport.decode(new Uint8Array());
  assert.deepEqual([report.clockMs, report.diskBytes, report.diskFreeBytes], [0, 0, 0]);
  assert.equal(fleet.Region.decode(new Uint8Array()).error, "");
});

test("a message of a stream that a later version adds is known to be unknown", () => {
  assert.equal(fleet.ConnectRelayResponse.decode(ADDED).command, undefined);
  assert.equal(fleet.ConnectRelayRequest.decode(ADDED).message, undefined);
  assert.equal(fleet.ConnectAgentResponse.decode(ADDED).command, undefined);
  assert.equal(fleet.ConnectAgentRequest.decode(ADDED).message, undefined);
});
