// Programs that are lost at a moment of their own while a ship is under way: a relay in mid-transfer, a
// worker in mid-build, an agent that hangs. The ship goes on, and who was away catches up.
import assert from "node:assert/strict";
import { existsSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { pause } from "../../runtime/program/back-off.ts";
import { Lab } from "../lab/lab.ts";
import type { Machine } from "../lab/machines.ts";
import { hookSample, httpSample } from "../lab/sample-service.ts";
import type { ShipResult } from "../lab/system.ts";
import { until } from "../lab/until.ts";

const BIG_BYTES = 128 * 1024 * 1024;
/** That much moves in well under a second. */
const LOOK_MS = 4;
/** Sooner than in production, and longer than a busy machine stands still. */
const DETECT_MS = 5_000;
const ROLLOUT = { waves: [{ percent: 100 }], failures: "50%", maxUnavailable: 100 };

const lab = new Lab();
const armed = lab.path("failpoint");
const env = { MILLRACE_FAILPOINT_FILE: armed };
before(() => lab.start({ agents: 3, relays: 2, buildDetectMs: DETECT_MS, env }));
after(() => lab.close());

/** A program that makes noise, the same each time. */
const makeBig = (seed: number): string => `import { createCipheriv } from "node:crypto";
import { writeFileSync } from "node:fs";
const cipher = createCipheriv("aes-128-ctr", Buffer.alloc(16, ${seed}), Buffer.alloc(16));
writeFileSync("dist/big", cipher.update(Buffer.alloc(${BIG_BYTES})));
`;

/** Bytes that a machine's swarm has on disk. */
function piecesOf({ path }: Machine): number {
  const packs = join(path, ".packs");
  if (!existsSync(packs)) return 0;
  return readdirSync(packs, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, { parentPath, name }) => sum + allocated(join(parentPath, name)), 0);
}

function allocated(path: string): number {
  return (statSync(path, { throwIfNoEntry: false })?.blocks ?? 0) * 512;
}

/** Kills the relays when so much has come, one after the other; how much had come at the first kill. */
async function killRelaysDuring(shipping: Promise<ShipResult>): Promise<number> {
  const machines = lab.machines();
  const before = machines.map(piecesOf);
  const share = (): number => {
    const got = machines.reduce((sum, machine, at) => sum + piecesOf(machine) - before[at]!, 0);
    return got / (machines.length * BIG_BYTES);
  };
  const ended = shipping.then(() => true);
  const reaches = async (least: number): Promise<number> => {
    while (share() < least && !(await Promise.race([ended, pause(LOOK_MS)])));
    return share();
  };
  const first = await reaches(0.1);
  lab.system.signal("relay-eu-west-1", "SIGKILL");
  await reaches(0.5);
  lab.system.signal("relay-eu-west-2", "SIGKILL");
  return first;
}

test("both relays are killed in mid-transfer, one after the other", async () => {
  const repository = lab.repository("big");
  let ship: ShipResult;
  let share: number;
  let seed = 0;
  do {
    seed += 1;
    assert.ok(seed <= 5, "a transfer was hit in its middle");
    const files = { "make.mjs": makeBig(seed) };
    const sample = { service: "big", version: "1", run: "node make.mjs", rollout: ROLLOUT, files };
    const shipping = lab.ship(repository, hookSample(sample));
    share = await killRelaysDuring(shipping);
    ship = await shipping;
    assert.equal(ship.rollout?.state, "succeeded", JSON.stringify(ship));
  } while (share < 0.1 || share > 0.9);
  const trees = lab.machines().map(async (machine) => {
    await until(`${machine.name} runs it`, () => machine.release("big") === ship.release);
    return machine.tree("big");
  });
  const [first = [], ...others] = await Promise.all(trees);
  assert.ok(first.some((line) => line.startsWith(`big 644 ${BIG_BYTES} `)));
  for (const tree of others) assert.deepEqual(tree, first);
});

test("an agent hangs and a worker is killed; who was away catches up by itself", async () => {
  const hung = "agent-eu-west-3";
  const first = lab.repository("first");
  const second = lab.repository("second");
  lab.system.signal(hung, "SIGSTOP");
  const sample = { version: "1", rollout: ROLLOUT };
  const ships = [lab.ship(first, httpSample({ ...sample, service: "first" }))];
  await until("the first is built", async () => {
    const { builds } = await lab.system.read<Builds>("builds", "--service", "first");
    return builds[0]?.state === "succeeded";
  });
  ships.push(lab.ship(second, hookSample({ ...sample, service: "second", run: "sleep 3" })));
  await until("the second's command runs", async () => {
    const { builds } = await lab.system.read<Builds>("builds", "--service", "second");
    return builds[0]?.phase === "run";
  });
  lab.system.signal("worker-1", "SIGKILL");
  writeFileSync(armed, "controlplane.after-sweep-txn");
  const ended = await Promise.all(ships);
  assert.ok(!existsSync(armed), "the control plane died when it had noticed the loss");
  for (const ship of ended) {
    assert.equal(ship.rollout?.state, "succeeded", JSON.stringify(ship));
    assert.deepEqual(ship.agents, { total: 2, active: 2 });
  }
  const { builds } = await lab.system.read<Builds>("builds", "--service", "second");
  assert.deepEqual(
    builds.map(({ state, attempt }) => ({ state, attempt })),
    [{ state: "succeeded", attempt: 2 }],
  );
  const machine = lab.machines().find(({ name }) => name === hung) as Machine;
  assert.equal(machine.release("first"), undefined);
  lab.system.signal(hung, "SIGCONT");
  for (const { service, release } of ended as ShipResult[]) {
    await until(`${hung} runs ${service}`, () => machine.release(service) === release);
  }
  assert.equal((await machine.ask("first"))?.version, "1");
});

interface Builds {
  readonly builds: readonly {
    readonly state: string;
    readonly phase: string;
    readonly attempt: number;
  }[];
}
