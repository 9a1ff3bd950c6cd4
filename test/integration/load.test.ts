// `millrace load` as a process, small: real relays, a real leader, and agents of a driver. What it measures at scale is
// for bench/load.ts.
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { millrace } from "./cli-scripted-api.ts";

const AGENTS = 200;

const scratch = mkdtempSync(join(tmpdir(), "millrace-load-test-"));
after(() => rmSync(scratch, { recursive: true, force: true }));

interface Figures {
  readonly ok: boolean;
  readonly [name: string]: number | boolean;
}

test("loads two relays with agents, one command for all of them, and kills a relay", async () => {
  const root = join(scratch, "root");
  const size = ["--agents", String(AGENTS), "--relays", "2", "--phases", "command,storm"];
  const { code, stdout, stderr } = await millrace(["load", ...size, "--json", "--root", root]);
  assert.equal(code, 0, stderr);
  const figures = JSON.parse(stdout) as Figures;
  assert.equal(figures.ok, true);
  assert.equal(figures["sessions"], AGENTS);
  assert.equal(figures["connections"], 2, "250 agents share a connection");
  const lost = Number(figures["storm_agents"]);
  assert.ok(lost > 0 && lost < AGENTS, `${lost} agents were at one of two relays`);
  for (const name of ["connected_s", "ack_999_s", "ack_all_s", "storm_back_s"]) {
    assert.ok(Number(figures[name]) > 0, `${name} is ${figures[name]}`);
  }
  // Two relays and those who look: nobody keeps a stream to the leader for an agent.
  assert.ok(Number(figures["leader_streams"]) < 32, `${figures["leader_streams"]} streams`);
  assert.ok(!existsSync(root), "its folder stays");
});

test("joins a cluster only when told that it is meant", async () => {
  const target = ["--target", "127.0.0.1:1", "--region", "eu"];
  const { code, stderr } = await millrace(["load", "--agents", "10", ...target]);
  assert.equal(code, 5);
  assert.match(stderr, /10 agents that are no machines are to join region eu of 127\.0\.0\.1:1/);
  assert.match(stderr, /--yes/);
});

test("says what is wrong with what is asked for", async () => {
  const cases: readonly (readonly [string[], RegExp])[] = [
    [["--relays", "3"], /--relays 3: expected an even number/],
    [["--agents", "200001"], /--agents 200001: expected 1 to 200000/],
    [["--phases", "sleep"], /"sleep": expected connections/],
    [["--target", "127.0.0.1:1"], /--target needs --region/],
  ];
  for (const [args, message] of cases) {
    const { code, stderr } = await millrace(["load", ...args]);
    assert.equal(code, 2, args.join(" "));
    assert.match(stderr, message);
  }
});
