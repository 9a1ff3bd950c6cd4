// What a relay tells of what it remembers: all of it, in messages that fit.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  Order,
  RelayMemory,
  ServiceAssignments,
  type ServiceStatus,
} from "../../proto/gen/millrace/v1/fleet.ts";
import { memoryOf } from "../../relay/memory.ts";
import { MESSAGE_BYTES_MAX } from "../../runtime/grpc/limits.ts";
import { statusOf } from "../integration/scripted-agent.ts";

const HEX = "ab".repeat(32);

function book(services: number, orders: readonly string[]) {
  return {
    services: new Map(
      Array.from({ length: services }, (_, index) => {
        const service = `${"s".repeat(60)}${String(index).padStart(4, "0")}`;
        const release = { release: HEX, sha: HEX.slice(0, 40), build: "b-0123456789abcdef" };
        const assignment = { service, rollout: `r-${HEX.slice(0, 16)}`, release };
        const one = { service, epoch: 2 ** 40, revision: 7, assignments: [assignment] };
        return [service, ServiceAssignments.fromPartial(one)] as const;
      }),
    ),
    orders: new Map(orders.map((pack) => [pack, Order.fromPartial({ id: pack, pack })])),
  };
}

const saying = (...statuses: Partial<ServiceStatus>[]) => ({
  services: new Map(statuses.map((status) => [status.service ?? "hello", statusOf(status)])),
});

test("1,000 services and 8,000 packs come whole, each message within its limit", () => {
  const packs = Array.from({ length: 8_000 }, (_, index) => `b-${HEX.slice(0, 16)}.${index + 1}`);
  const messages = [...memoryOf(book(1_000, packs.slice(-3)), packs, [])];
  assert.equal(messages.flatMap(({ assignments }) => assignments).length, 1_000);
  assert.deepEqual(
    messages.flatMap((message) => message.packs),
    packs,
  );
  assert.deepEqual(
    messages.flatMap(({ growing }) => growing),
    packs.slice(-3),
  );
  assert.deepEqual(
    messages.map(({ last }) => last),
    messages.map((_, index) => index === messages.length - 1),
  );
  for (const message of messages) {
    assert.ok(RelayMemory.encode(message).finish().length < MESSAGE_BYTES_MAX / 2);
  }
});

test("nothing is one message; machines are quoted where they follow what the relay was never told", () => {
  const [empty, ...others] = [...memoryOf(book(0, []), [], [])];
  assert.deepEqual([empty?.last, empty?.assignments, others.length], [true, [], 0]);
  const known = [...book(1, []).services.keys()][0] as string;
  const sessions = [
    saying({ service: known, rollout: "r-old", epoch: 5 }),
    saying({ service: "other", rollout: "r-1", release: HEX, epoch: 5 }),
    saying({ service: "other", rollout: "r-1", release: HEX, epoch: 5 }),
    saying({ service: "idle", rollout: "", epoch: 5 }),
  ];
  const [memory] = [...memoryOf(book(1, []), [], sessions)];
  assert.deepEqual(
    memory?.assignments.map(({ service, rollout }) => [service, rollout]),
    [
      [known, `r-${HEX.slice(0, 16)}`],
      ["other", "r-1"],
    ],
  );
});
