// When a rollout begins, by the rows that it is sorted by.
import assert from "node:assert/strict";
import { test } from "node:test";
import { beginsAtMs, timeName, waitingKey } from "../../../core/rollout/service-turns.ts";

const taker = (id: string, createdAtMs: number) => ({ id, service: "web", createdAtMs });

test("a rollout begins by the wall clock where none is open that is later", () => {
  assert.equal(beginsAtMs(5_000, "web", undefined, undefined), 5_000);
  assert.equal(
    beginsAtMs(5_000, "web", taker("r-1", 1_000), waitingKey(taker("r-2", 2_000))),
    5_000,
  );
});

test("a rollout begins after those that are open, whatever the wall clock says", () => {
  const active = taker("r-f", 9_000);
  const second = taker("r-e", beginsAtMs(4_000, "web", active, undefined));
  const third = taker("r-d", beginsAtMs(3_000, "web", active, waitingKey(second)));
  // The same millisecond, and the lower name.
  const fourth = taker("r-0", beginsAtMs(third.createdAtMs, "web", undefined, waitingKey(third)));
  const names = [active, second, third, fourth].map(timeName);
  assert.deepEqual(names, names.toSorted());
});
