// Whether it can be known which releases machines have.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type AskedRelay, whyUsesUnknown } from "../../../core/fleet/uses-question.ts";

const KNOWN = [{ region: "eu" }, { region: "us" }, { region: "us" }];
const at = (relay: string, region: string, isSettled = true): AskedRelay => ({
  ...{ relay, region, isSettled },
});

const CASES: readonly {
  readonly title: string;
  readonly connected: readonly AskedRelay[];
  readonly forMs: number;
  readonly why: string;
}[] = [
  {
    title: "one of each region is there",
    connected: [at("a", "eu"), at("b", "us")],
    forMs: 0,
    why: "",
  },
  {
    title: "a region is away",
    connected: [at("a", "eu")],
    forMs: 999,
    why: "no relay of region us is connected",
  },
  { title: "a region is away for long enough", connected: [at("a", "eu")], forMs: 1_000, why: "" },
  {
    title: "a relay was started a moment ago",
    connected: [at("a", "eu"), at("b", "us", false)],
    forMs: 5_000,
    why: "relay b waits for its machines after its start",
  },
];

for (const { title, connected, forMs, why } of CASES) {
  test(`${title}: ${why === "" ? "it is known" : "it is not known"}`, () => {
    assert.equal(whyUsesUnknown(KNOWN, connected, { forMs, awayMs: 1_000 }), why);
  });
}
