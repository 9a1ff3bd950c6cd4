// Replicas that campaign on a real etcd and on SQLite: one leads at a time, what the one before still tries to
// write is refused, and after each failure somebody leads again.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, test } from "node:test";
import type { Fence } from "../../controlplane/fence.ts";
import { Candidate } from "../../controlplane/leadership/candidate.ts";
import { createLog } from "../../runtime/log.ts";
import { openStore } from "../../runtime/store/open-store.ts";
import type { Store } from "../../runtime/store/store.ts";
import { startEtcd } from "../lab/etcd.ts";
import { FaultyWire } from "../lab/faulty-wire.ts";
import { until } from "../lab/until.ts";
import { scratch } from "./queue-system.ts";

const log = createLog("test", {});
log.level = process.env["MILLRACE_LOG"] ?? "fatal";
const etcd = await startEtcd();
after(() => etcd.dispose());

/** A replica that takes part, and the terms it had. */
class Replica {
  readonly name: string;
  readonly store: Store;
  readonly candidate: Candidate;
  readonly fences: Fence[] = [];
  readonly ended: number[] = [];

  constructor(name: string, store: Store, onLead: (replica: Replica) => void = () => {}) {
    this.name = name;
    this.store = store;
    this.candidate = new Candidate({
      ...{ store, log, replica: name },
      onLead: (fence) => {
        this.fences.push(fence);
        onLead(this);
      },
      onStepDown: (epoch) => this.ended.push(epoch),
    });
  }

  get leads(): boolean {
    return this.fences.at(-1)?.holds() === true;
  }

  async write(fence: Fence, text: string): Promise<boolean> {
    const operations = [{ put: "decided", value: Buffer.from(text) }];
    return (await this.store.transact({ compares: [fence.compare], operations })).committed;
  }

  async stop(): Promise<void> {
    await this.candidate.stop();
    await this.store.close();
  }
}

const leads = (replica: Replica) => until(`${replica.name} to lead`, () => replica.leads);

/** One that leads and reaches etcd through a wire, with its fence, and one that waits; and whether the first led when the second did. */
async function leaderBehindWire() {
  const prefix = randomUUID();
  const wire = await FaultyWire.listen(etcd.hosts);
  const first = new Replica("a", await openStore(`etcd://${wire.address}/${prefix}`));
  const heldThen: boolean[] = [];
  const second = new Replica("b", await openStore(`etcd://${etcd.hosts}/${prefix}`), () =>
    heldThen.push(first.leads),
  );
  await first.candidate.start("a");
  await leads(first);
  await second.candidate.start("b");
  const [old] = first.fences as [Fence];
  return { wire, first, second, heldThen, old };
}

test("one leads, all know it, and whoever resigns is followed under a higher epoch", async () => {
  const url = `etcd://${etcd.hosts}/${randomUUID()}`;
  const replicas: Replica[] = [];
  for (const name of ["a", "b", "c"]) replicas.push(new Replica(name, await openStore(url)));
  await Promise.all(replicas.map(({ name, candidate }) => candidate.start(name)));
  const epochs: number[] = [];
  for (let turn = 0; turn < 3; turn += 1) {
    const leader = await until("a leader", () => {
      const leading = replicas.filter((one) => one.leads);
      assert.ok(leading.length <= 1);
      return leading[0];
    });
    const [fence] = leader.fences.slice(-1) as [Fence];
    epochs.push(fence.epoch);
    assert.ok(await leader.write(fence, leader.name));
    await until("all to know it", () =>
      replicas.every(({ candidate }) => candidate.leader?.epoch === fence.epoch),
    );
    leader.candidate.resign();
    assert.equal(fence.holds(), false, "at once");
    assert.deepEqual(leader.ended.at(-1), fence.epoch);
  }
  assert.deepEqual(epochs, [1, 2, 3]);
  await Promise.all(replicas.map((one) => one.stop()));
});

test("fault 2: a leader that is cut off stops before another leads; what it writes later is refused", async () => {
  const { wire, first, second, heldThen, old } = await leaderBehindWire();
  assert.ok(await first.write(old, "a"));
  wire.become("cut");
  wire.breakConnections();
  await leads(second);
  assert.deepEqual(heldThen, [false]);
  assert.ok(await second.write(second.fences[0] as Fence, "b"));
  wire.become("open");
  assert.equal(await first.write(old, "a, late"), false);
  await until("the first to follow", () => first.candidate.leaderElsewhere?.replica === "b");
  assert.equal(first.fences.length, 1);
  assert.deepEqual([...((await second.store.get("decided"))?.value ?? [])], [...Buffer.from("b")]);
  await Promise.all([first.stop(), second.stop()]);
  await wire.close();
});

test("fault 6: a leader that etcd hears and that hears nothing, or the other way round: another leads, both heal", async () => {
  const cases = (["mute", "held"] as const).map(async (state) => {
    const { wire, first, second, heldThen, old } = await leaderBehindWire();
    wire.become(state);
    await leads(second);
    assert.deepEqual(heldThen, [false], state);
    assert.ok(await second.write(second.fences[0] as Fence, "b"));
    // What it decided before it noticed is on its way still, and comes when another leads.
    const late = first.write(old, "a, late").catch(() => false);
    if (state === "held") {
      await wire.heldSome();
      wire.become("open");
      await wire.deliverHeld();
    } else {
      wire.become("open");
      wire.breakConnections();
    }
    assert.equal(await late, false, state);
    await until("the first to follow", () => first.candidate.leaderElsewhere?.replica === "b");
    assert.equal((await second.store.get("decided"))?.version, 1, state);
    await Promise.all([first.stop(), second.stop()]);
    await wire.close();
  });
  await Promise.all(cases);
});

test("fault 4: etcd gone for longer than the lease: nobody leads, and then one does", async () => {
  const own = await startEtcd();
  const replicas: Replica[] = [];
  for (const name of ["a", "b"])
    replicas.push(new Replica(name, await openStore(`etcd://${own.hosts}`)));
  for (const { candidate, name } of replicas) await candidate.start(name);
  const leading = () => replicas.filter((one) => one.leads);
  await until("a leader", () => leading().length === 1);
  const [member] = own.members;
  await member?.stop("SIGKILL");
  await until("nobody to lead", () => leading().length === 0);
  await member?.start();
  await until("a leader again", () => leading().length === 1);
  assert.ok((leading()[0]?.fences.at(-1)?.epoch ?? 0) > 1);
  await Promise.all(replicas.map((one) => one.stop()));
  await own.dispose();
});

test("alone on its store a replica leads at once, also after one that did not end well", async () => {
  const folder = scratch();
  const url = `sqlite:${folder.root}/store.db`;
  for (let life = 1; life <= 3; life += 1) {
    const replica = new Replica(`life ${life}`, await openStore(url));
    await replica.candidate.start("here");
    await leads(replica);
    assert.equal(replica.fences[0]?.epoch, life);
    // The key and its lease stay behind, as after kill -9.
    await replica.store.close();
    await replica.candidate.stop();
  }
  folder.remove();
});
