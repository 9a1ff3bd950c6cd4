// `millrace simulate` as a person runs it: exit codes by the verdict, one JSON object, faults of a file by line and
// column, and a page that needs nothing else.
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { millrace } from "./cli-scripted-api.ts";

const folder = mkdtempSync(join(tmpdir(), "millrace-simulate-"));
after(() => rmSync(folder, { recursive: true, force: true }));

const FIGURES = [
  ...["verdict", "wall_s", "peak_rss_mb", "distribution_over_bound", "pieces", "agents"],
  ...["last_active_s", "p50_s", "p99_s", "p999_s", "availability", "trace"],
];

test("a scenario that meets its SLO ends with 0, prints its figures and writes its page", async () => {
  const page = join(folder, "page.html");
  const { code, stdout } = await millrace([
    "simulate",
    "release",
    "--agents",
    "60",
    "--json",
    "--html",
    page,
  ]);
  assert.equal(code, 0);
  const run = JSON.parse(stdout) as Record<string, unknown>;
  assert.deepEqual(
    FIGURES.filter((figure) => run[figure] === undefined),
    [],
  );
  assert.equal(run["verdict"], "met");
  assert.equal(run["agents"], 60);
  const text = readFileSync(page, "utf8");
  assert.match(text, /SLO met/);
  assert.match(text, /new uPlot/);
  assert.doesNotMatch(text, /(?:src|href)=/);
});

test("one that misses it ends with 4, its verdict first", async () => {
  const { code, stdout } = await millrace([
    "simulate",
    "release",
    "--agents",
    "60",
    "--set",
    "slo.minutes=10",
  ]);
  assert.equal(code, 4);
  assert.match(stdout, /^SLO missed: 99.9 % of requests within 10 min\n/);
});

test("what is wrong with a scenario is told, with line and column in a file", async () => {
  const file = join(folder, "mine.yaml");
  writeFileSync(file, "about: mine\nfleet:\n  regions: 0\n");
  for (const [args, said] of [
    [[file], /mine\.yaml:3:12: fleet\.regions: /],
    [["nothing"], /no scenario "nothing", and no such file; there are bad-release, day, /],
    [
      ["release", "--set", "fleet.ships=1"],
      /--set fleet\.ships=1: the scenario has no fleet\.ships/,
    ],
    [["release", "--set", "fleet.relays=many"], /--set: fleet\.relays: /],
  ] as const) {
    const { code, stderr } = await millrace(["simulate", ...args]);
    assert.equal(code, 2);
    assert.match(stderr, said);
  }
});
