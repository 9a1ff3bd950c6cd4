// What the fleet is told of packs that grow while builds to be shipped go on.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type BuildRow, type LeasedBuild, NO_PROGRESS } from "../../../core/builds/build-row.ts";
import { type OrderNews, ShipOrders } from "../../../core/builds/ship-orders.ts";
import { submitted } from "./queue-world.ts";

const WISH = {
  targets: { tier: "web" },
  overrideTargets: false,
  excludedRegions: ["far"],
  supersede: false,
  urgent: true,
};

const QUEUED: BuildRow = {
  ...submitted("b1", 1_200_000),
  ship: { wish: WISH, requesters: ["ci"] },
};

function leased(attempt: number, segments = 0, over: Partial<LeasedBuild> = {}): LeasedBuild {
  const progress = { ...NO_PROGRESS, phase: "run", segments, targets: { tier: "all" } };
  const { ship } = QUEUED;
  return {
    ...{ ...submitted("b1", 1_200_000), ship, attempt, progress, state: "leased" },
    ...{ worker: "w", startedAtMs: 1, attemptMs: 1, attemptLimit: "attempt" },
    ...{ cancelling: false, heartbeats: 0, service: "web" },
    ...over,
  };
}

/** Its worker has not said anything yet. */
const UNREAD: Partial<LeasedBuild> = { progress: NO_PROGRESS };

const STOPPED = { state: "failed", endedAtMs: 2, reason: "r", message: "m" } as const;
const SUCCEEDED = {
  state: "succeeded",
  endedAtMs: 2,
  release: "x",
  rollout: "",
  message: "",
} as const;

/** In short: what was told, of which pack. */
function brief(news: readonly OrderNews[]): string[] {
  return news.map((one) => {
    if (one.kind === "begun") return `begun ${one.order.pack}`;
    if (one.kind === "grew") return `grew ${one.pack} ${one.segments}`;
    return `${one.kept ? "kept" : "ended"} ${one.pack}`;
  });
}

/** Rows of one build in order, and what each makes known. */
const WAYS: readonly { readonly what: string; readonly rows: readonly [BuildRow, string[]][] }[] = [
  {
    what: "a build that is queued has nothing to fetch, one that is leased does",
    rows: [
      [QUEUED, []],
      [leased(1), ["begun b1.1"]],
      [leased(1), []],
    ],
  },
  {
    what: "segments are told as they come, and never fewer",
    rows: [
      [leased(1, 2), ["begun b1.1", "grew b1.1 2"]],
      [leased(1, 5), ["grew b1.1 5"]],
      [leased(1, 4), []],
    ],
  },
  {
    what: "an order is told again where something else is known of it, and its segments are not",
    rows: [
      [leased(1, 2, { service: "" }), ["begun b1.1", "grew b1.1 2"]],
      [leased(1, 2), ["begun b1.1"]],
    ],
  },
  {
    what: "nobody is told before the recipe says whom it is for, in the first attempt or the next",
    rows: [
      [leased(1, 0, UNREAD), []],
      [leased(1, 0, { progress: { ...NO_PROGRESS, phase: "fetch" } }), []],
      [leased(1), ["begun b1.1"]],
      [leased(2, 0, UNREAD), ["ended b1.1"]],
      [leased(2), ["begun b1.2"]],
    ],
  },
  {
    what: "where the request says whom it is for, nobody waits for the recipe",
    rows: [
      [
        leased(1, 0, {
          ...UNREAD,
          ship: { wish: { ...WISH, overrideTargets: true }, requesters: ["ci"] },
        }),
        ["begun b1.1"],
      ],
    ],
  },
  {
    what: "an attempt that is lost ends its order, and the next has one of its own",
    rows: [
      [leased(1, 3), ["begun b1.1", "grew b1.1 3"]],
      [{ ...QUEUED, attempt: 1 }, ["ended b1.1"]],
      [leased(2), ["begun b1.2"]],
    ],
  },
  {
    what: "where it was not seen that an attempt was lost, it ends with the next",
    rows: [
      [leased(1), ["begun b1.1"]],
      [leased(2, 1), ["ended b1.1", "begun b1.2", "grew b1.2 1"]],
    ],
  },
  {
    what: "the pack of a build that succeeded is kept",
    rows: [
      [leased(1), ["begun b1.1"]],
      [{ ...leased(1, 1), ...SUCCEEDED }, ["kept b1.1"]],
    ],
  },
  {
    what: "of another attempt than the one that succeeded nothing is kept",
    rows: [
      [leased(1), ["begun b1.1"]],
      [{ ...leased(2, 1), ...SUCCEEDED }, ["ended b1.1"]],
    ],
  },
  {
    what: "nobody fetches what is being cancelled or has failed",
    rows: [
      [leased(1), ["begun b1.1"]],
      [leased(1, 1, { cancelling: true }), ["ended b1.1"]],
      [{ ...leased(1, 1), ...STOPPED }, []],
    ],
  },
  {
    what: "a build that is not to be shipped is fetched by nobody, until somebody wants it shipped",
    rows: [
      [leased(1, 2, { ship: undefined }), []],
      [leased(1, 2), ["begun b1.1", "grew b1.1 2"]],
    ],
  },
];

for (const { what, rows } of WAYS) {
  test(what, () => {
    const orders = new ShipOrders();
    for (const [row, told] of rows) assert.deepEqual(brief(orders.row(row)), told);
  });
}

test("what workers say between rows counts for the attempt of now alone", () => {
  const orders = new ShipOrders();
  assert.deepEqual(orders.grew("b1", 1, 3), []);
  orders.row(leased(2, 1));
  assert.deepEqual(brief(orders.grew("b1", 1, 9)), []);
  assert.deepEqual(brief(orders.grew("b1", 2, 3)), ["grew b1.2 3"]);
  assert.deepEqual(brief(orders.row(leased(2, 2))), []);
});

test("an order is for whom the request names, else for whom the recipe does", () => {
  const orderOf = (overrideTargets: boolean) => {
    const ship = { wish: { ...WISH, overrideTargets }, requesters: ["ci"] };
    const [begun] = new ShipOrders().row(leased(1, 0, { ship }));
    assert.ok(begun?.kind === "begun");
    return begun.order;
  };
  assert.deepEqual(orderOf(true).targets, { tier: "web" });
  const { targets, excludedRegions, urgent, service } = orderOf(false);
  assert.deepEqual(targets, { tier: "all" });
  assert.deepEqual(
    { excludedRegions, urgent, service },
    { excludedRegions: ["far"], urgent: true, service: "web" },
  );
});
