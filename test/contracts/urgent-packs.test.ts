// Which packs go before others, by what orders and assignments say.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Assignment } from "../../proto/gen/millrace/v1/fleet.ts";
import { UrgentPacks } from "../../runtime/release/urgent-packs.ts";

const assignment = (urgent: boolean, ...packs: string[]) =>
  Assignment.fromPartial({
    urgent,
    release: { layout: { packs: packs.map((pack) => ({ pack })) } },
  });

test("packs are urgent while an assignment or an order says so", () => {
  const urgent = new UrgentPacks();
  const has = (...packs: string[]) => packs.map((pack) => urgent.has(pack));
  urgent.assigned({
    service: "a",
    assignments: [assignment(true, "one", "two"), assignment(false, "three")],
  });
  urgent.ordered({ id: "order", pack: "four", urgent: true });
  urgent.ordered({ id: "usual", pack: "five", urgent: false });
  assert.deepEqual(has("one", "two", "three", "four", "five"), [true, true, false, true, false]);
  urgent.assigned({ service: "b", assignments: [assignment(true, "two")] });
  urgent.assigned({ service: "a", assignments: [assignment(false, "one", "two")] });
  assert.deepEqual(has("one", "two"), [false, true], "another service needs it still");
  urgent.assigned({ service: "b", assignments: [] });
  urgent.orderEnded("order");
  assert.deepEqual(has("two", "four"), [false, false]);
});
