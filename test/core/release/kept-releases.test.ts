// Which releases are kept, case by case, and what holds for any.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { keptReleases, type ReleaseFacts } from "../../../core/release/kept-releases.ts";

/** "web:3a=x" is the build 3 of service web, of SHA a, with output x; builds are numbered in time. */
function release(text: string): ReleaseFacts {
  const [, service = "", build = "", sha = "", digest = ""] =
    /^(\w+):(\d+)(\w+)=(\w+)$/.exec(text) ?? [];
  return { build, service, sha, release: digest, createdAtMs: Number(build) };
}

interface Case {
  readonly name: string;
  readonly releases: string;
  readonly keepLast: number;
  readonly named?: readonly string[];
  readonly onMachines?: readonly string[];
  readonly kept: string;
}

const CASES: readonly Case[] = [
  { name: "the newest", releases: "web:1a=x web:2b=y web:3c=z", keepLast: 2, kept: "2 3" },
  { name: "of each service", releases: "web:1a=x api:2b=y web:3c=z", keepLast: 1, kept: "2 3" },
  {
    name: "a SHA that is built again counts once, and its older release goes",
    releases: "web:1a=x web:2b=y web:3b=y web:4b=y",
    keepLast: 2,
    kept: "1 4",
  },
  {
    name: "equal output of other SHAs counts",
    releases: "web:1a=x web:2b=x web:3c=x",
    keepLast: 2,
    kept: "2 3",
  },
  {
    name: "what a rollout or an assignment names",
    releases: "web:1a=x web:2b=y web:3c=z",
    keepLast: 1,
    named: ["1"],
    kept: "1 3",
  },
  {
    name: "of what machines run the newest with that output",
    releases: "web:1a=x web:2b=x web:3c=y web:4d=z",
    keepLast: 1,
    onMachines: ["x"],
    kept: "2 4",
  },
  {
    name: "what machines run, of each service that has it",
    releases: "web:1a=x api:2a=x web:3c=y api:4d=z",
    keepLast: 1,
    onMachines: ["x"],
    kept: "1 2 3 4",
  },
  { name: "none at all", releases: "web:1a=x", keepLast: 0, kept: "" },
];

for (const { name, releases, keepLast, named = [], onMachines = [], kept } of CASES) {
  test(`kept releases: ${name}`, () => {
    const uses = {
      named: new Map(named.map((build) => [build, "rollout r"])),
      onMachines: new Set(onMachines),
    };
    const found = keptReleases(releases.split(" ").map(release), uses, keepLast);
    assert.equal([...found.keys()].sort().join(" "), kept);
  });
}

test("kept releases: never fewer than what is used, never more than that and the last of each service", () => {
  const letter = fc.constantFrom("a", "b", "c", "d");
  const facts = fc.record({ service: fc.constantFrom("web", "api"), sha: letter, release: letter });
  fc.assert(
    fc.property(
      fc.array(facts, { maxLength: 30 }),
      fc.array(fc.nat(29), { maxLength: 4 }),
      fc.array(letter, { maxLength: 2 }),
      fc.nat(4),
      (all, picked, onMachines, keepLast) => {
        const releases = all.map((one, index) => ({
          ...one,
          build: `b-${index}`,
          createdAtMs: index >> 1,
        }));
        const named = new Map(picked.map((index) => [`b-${index}`, "rollout r"]));
        const uses = { named, onMachines: new Set(onMachines) };
        const kept = keptReleases(releases, uses, keepLast);
        for (const { build } of releases) if (named.has(build)) assert.ok(kept.has(build));
        for (const digest of new Set(onMachines)) {
          const having = releases.filter((one) => one.release === digest);
          const isKept = having.some(({ build }) => kept.has(build));
          assert.equal(isKept, having.length > 0);
        }
        for (const service of ["web", "api"]) {
          const shas = new Set(releases.filter((r) => r.service === service).map((r) => r.sha));
          const keptShas = new Set(
            releases.filter((r) => r.service === service && kept.has(r.build)).map((r) => r.sha),
          );
          assert.ok(keptShas.size >= Math.min(shas.size, keepLast));
        }
        assert.ok(kept.size <= 2 * keepLast + named.size + 2 * onMachines.length);
        const again = keptReleases([...releases].reverse(), uses, keepLast);
        assert.deepEqual(new Set(again.keys()), new Set(kept.keys()));
      },
    ),
  );
});
