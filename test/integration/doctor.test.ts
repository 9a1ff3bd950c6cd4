// `millrace doctor` and `millrace health` on a whole system: nothing is wrong while it is well, and what is planted
// is named.
import assert from "node:assert/strict";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { freePorts } from "../lab/free-ports.ts";
import { Lab } from "../lab/lab.ts";
import { hookSample } from "../lab/sample-service.ts";
import { runMillrace } from "../lab/system.ts";
import { until } from "../lab/until.ts";

interface Report {
  readonly ok: boolean;
  readonly findings: readonly {
    readonly check: string;
    readonly severity: string;
    readonly where: string;
    readonly section: string;
  }[];
}

const lab = new Lab();
before(() => lab.start({ agents: 2, relays: 1, metrics: true }));
after(() => lab.close());

async function doctor(address = lab.system.address): Promise<Report> {
  const { code, stdout } = await runMillrace(["doctor", "--json", "--addr", address]);
  const report = JSON.parse(stdout) as Report;
  assert.equal(code, report.ok ? 0 : 1);
  return report;
}

/** Resolves when the doctor finds it; the machine's own full disk is not the system's. */
async function found(check: string, where: RegExp): Promise<void> {
  await until(`${check} is found`, async () => {
    const { findings } = await doctor();
    return findings.some((one) => one.check === check && where.test(one.where));
  });
}

test("nothing is wrong with a system that is well", async () => {
  const ship = await lab.ship(
    lab.repository("well"),
    hookSample({ service: "well", version: "1" }),
  );
  assert.equal(ship.rollout?.state, "succeeded");
  const { findings } = await doctor();
  assert.deepEqual(
    findings.filter(({ check }) => check !== "disk-full"),
    [],
  );
  const { stdout } = await lab.system.millrace("doctor");
  assert.match(stdout, /^(nothing is wrong, of \d+ things looked at|warning +.*disk-full\))\n$/);
});

test("every program says that it lives and is ready", async () => {
  assert.equal((await lab.system.millrace("health")).stdout, `${lab.system.address} ready\n`);
  assert.equal((await lab.system.millrace("health", "--live")).code, 0);
  for (const [name, port] of Object.entries(lab.system.metrics)) {
    for (const flags of [[], ["--live"]]) {
      const { code, stdout } = await runMillrace([
        "health",
        "--metrics-port",
        String(port),
        ...flags,
      ]);
      assert.equal(code, 0, `${name}: ${stdout}`);
    }
  }
  const [port] = await freePorts(1);
  const { code, stdout } = await runMillrace(["health", "--addr", `127.0.0.1:${port}`]);
  assert.equal(code, 1);
  assert.match(stdout, /not ready: /);
});

test("a control plane that is not there is named, one of two too", async () => {
  const [port] = await freePorts(1);
  const { findings } = await doctor(`127.0.0.1:${port},${lab.system.address}`);
  assert.deepEqual(
    findings
      .filter(({ check }) => check !== "disk-full")
      .map(({ check, where, section }) => ({ check, where, section })),
    [
      {
        check: "unreachable",
        where: `control plane 127.0.0.1:${port}`,
        section: "docs/operations.md#unreachable",
      },
    ],
  );
});

test("an origin that takes no blobs is named", async () => {
  const probes = join(lab.root, "origin", "blobs", "probes");
  // A file in the place of the folder: for root, too, nothing can be put below it.
  rmSync(probes, { recursive: true, force: true });
  writeFileSync(probes, "");
  await found("origin", /^origin$/);
  rmSync(probes);
});

test("a silent relay, machines that are away and a queue that nobody takes from are named", async () => {
  for (const { name } of lab.system.children("agent-")) lab.system.signal(name, "SIGSTOP");
  lab.system.signal("worker-1", "SIGSTOP");
  lab.system.signal("relay-eu-west-1", "SIGSTOP");
  await found("relay-silent", /relay/);
  lab.system.signal("relay-eu-west-1", "SIGCONT");
  await found("agents-away", /region eu-west/);
  for (const { name } of lab.system.children()) lab.system.signal(name, "SIGCONT");
  await until("it is well again", async () => {
    const { findings } = await doctor();
    return findings.every(({ check }) => check === "disk-full");
  });
});
