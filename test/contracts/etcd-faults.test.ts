// What the etcd driver promises where etcd or the way to it fails: each write happens once or not at all and
// says which, and no watch loses an event or shows one twice.
import { strict as assert } from "node:assert";
import { randomUUID } from "node:crypto";
import { describe, test } from "node:test";
import { Etcd3, type ILeaseStatus } from "etcd3";
import { etcdAddress } from "../../runtime/store/etcd-address.ts";
import { openEtcdStore } from "../../runtime/store/etcd-store.ts";
import { type Store, scan } from "../../runtime/store/store.ts";
import {
  StoreUnavailableError,
  StoreUnknownOutcomeError,
} from "../../runtime/store/store-errors.ts";
import { type Etcd, startEtcd } from "../lab/etcd.ts";
import { FaultyWire } from "../lab/faulty-wire.ts";
import { bytes, put, remove, text, WatchLog } from "./opened-store.ts";

/** Increments of the counter that a fault strikes into. */
const INCREMENTS = 300;
const WRITERS = 4;

/** A store behind a wire that breaks, and the same one reached directly. */
interface Broken {
  readonly etcd: Etcd;
  readonly wire: FaultyWire;
  readonly store: Store;
  readonly direct: Store;
}

describe("etcd faults", () => {
  for (const members of [1, 3]) {
    test(`fault 4: members killed one by one (${members}): increments count once, watches miss none`, async () => {
      const etcd = await startEtcd({ members });
      const store = await openEtcdStore(etcdAddress(`etcd://${etcd.hosts}`));
      try {
        const log = new WatchLog();
        await log.watch(store, { prefix: "counter" });
        let struck = Promise.resolve();
        await countUp(store, (count) => {
          if (count % (INCREMENTS / 3) !== INCREMENTS / 6) return;
          const member = etcd.members[Math.floor((count * 3) / INCREMENTS) % members];
          struck = struck.then(async () => {
            await member?.stop("SIGKILL");
            await member?.start();
          });
        });
        await struck;
        assert.equal(text(await store.get("counter")), `${INCREMENTS}`);
        await log.until(({ events }) => events.length >= INCREMENTS);
        assert.deepEqual(
          log.events.map(({ entry }) => text(entry)),
          Array.from({ length: INCREMENTS }, (_, n) => `${n + 1}`),
        );
      } finally {
        await store.close();
        await etcd.dispose();
      }
    });
  }

  test("fault 4: members stalled one by one: writes and watches go round them", async () => {
    const etcd = await startEtcd({ members: 3 });
    const store = await openEtcdStore(etcdAddress(`etcd://${etcd.hosts}`));
    try {
      const log = new WatchLog();
      await log.watch(store, { prefix: "" });
      const lease = await store.grantLease(60_000);
      const lines: string[] = [];
      for (const [n, member] of etcd.members.entries()) {
        member.stall(true);
        lines.push(`${await put(store, { a: `${n}` })} put a=${n}`);
        assert.equal(await store.keepAlive(lease), true);
        await log.until(({ events }) => events.length === lines.length);
        member.stall(false);
      }
      assert.deepEqual(log.lines, lines);
      assert.equal((await store.get("a"))?.version, lines.length);
    } finally {
      await store.close();
      await etcd.dispose();
    }
  });

  broken("fault 4: a write whose answer is lost is found done", async ({ wire, store, direct }) => {
    const log = new WatchLog();
    await log.watch(direct, { prefix: "" });
    wire.become("mute");
    const done = put(store, { a: "1" });
    await log.until(({ events }) => events.length === 1);
    wire.become("open");
    wire.breakConnections();
    assert.equal(await done, log.events[0]?.entry.modRevision);
    assert.equal(await put(store, { a: "2" }), await revisionOf(direct));
    await log.until(({ events }) => events.length === 2);
    assert.deepEqual(
      log.events.map(({ entry }) => text(entry)),
      ["1", "2"],
    );
  });

  broken("fault 4: a write that comes late does not happen", async ({ wire, store, direct }) => {
    wire.become("held");
    const done = put(store, { a: "1" });
    await wire.heldSome();
    wire.become("open");
    wire.breakConnections();
    await done;
    await wire.deliverHeld();
    assert.equal((await direct.get("a"))?.version, 1, "only the second try happened");
    assert.equal(await revisionOf(direct), await done);
  });

  broken(
    "fault 4: a deletion whose answer is lost stays unknown",
    async ({ wire, store, direct }) => {
      await put(store, { a: "1" });
      const log = new WatchLog();
      await log.watch(direct, { prefix: "" });
      wire.become("mute");
      const done = remove(store, "a");
      const refused = assert.rejects(done, StoreUnknownOutcomeError);
      await log.until(({ events }) => events.length === 1);
      wire.become("open");
      wire.breakConnections();
      await refused;
    },
  );

  broken("fault 4: unknown and failed are told apart", async ({ etcd, wire, store }) => {
    const other = await FaultyWire.listen(etcd.members[0]?.address as string);
    const failing = await openEtcdStore(etcdAddress(`etcd://${other.address}`));
    await put(failing, { warm: "up" });
    other.become("cut");
    other.breakConnections();
    wire.become("held");
    const unknown = assert.rejects(put(store, { a: "1" }), StoreUnknownOutcomeError);
    await wire.heldSome();
    wire.become("cut");
    wire.breakConnections();
    const failed = [
      assert.rejects(failing.get("a"), StoreUnavailableError),
      assert.rejects(failing.grantLease(5000), StoreUnavailableError),
      assert.rejects(
        failing.watch({ prefix: "" }, () => assert.fail()),
        StoreUnavailableError,
      ),
    ];
    await Promise.all([unknown, ...failed]);
    await failing.close();
    await other.close();
  });

  broken("writes outlive the session of their slots", async ({ etcd, store }) => {
    const etcd3 = new Etcd3({ hosts: `http://${etcd.hosts}` });
    try {
      const revoked: string[] = [];
      for (let round = 0; round < 3; round += 1) {
        const answer = await etcd3.leaseClient.leaseLeases();
        const { leases } = answer as typeof answer & { leases: readonly ILeaseStatus[] };
        for (const { ID } of leases) {
          await etcd3.leaseClient.leaseRevoke({ ID });
          revoked.push(ID);
        }
        // One takes the slot that was used before, the others take new ones.
        const keys = ["a", "b", "c"];
        await Promise.all(keys.map((key) => put(store, { [key]: `${round}` })));
        for (const key of keys) assert.equal((await store.get(key))?.version, round + 1);
      }
      assert(revoked.length >= 3, "each round ended a session");
    } finally {
      etcd3.close();
    }
  });

  broken("fault 5: a watch cut again and again loses and repeats nothing", async (opened) => {
    const { wire, store, direct } = opened;
    const log = new WatchLog();
    await log.watch(store, { prefix: "n" });
    const lines: string[] = [];
    for (let cut = 0; cut < 5; cut += 1) {
      for (let n = 0; n < 20; n += 1) {
        const revision = await put(direct, { n1: `${n}`, n2: `${n}` });
        lines.push(`${revision} put n1=${n}`, `${revision} put n2=${n}`);
        if (n === 10) wire.breakConnections();
      }
      await log.until(({ events }) => events.length >= lines.length);
    }
    assert.deepEqual(log.lines, lines);
  });

  broken("fault 5: a watch that missed compacted history is told", async (opened) => {
    const { wire, store, direct } = opened;
    await put(store, { a: "1" });
    const log = new WatchLog();
    await log.watch(store, { prefix: "" });
    wire.become("cut");
    wire.breakConnections();
    await put(direct, { a: "2" });
    await put(direct, { b: "1" });
    await remove(direct, "a");
    await direct.compact(await put(direct, { b: "2" }));
    wire.become("open");
    await log.until(({ compacted }) => compacted !== undefined);
    const page = await store.range({ prefix: "" });
    const again = new WatchLog();
    await again.watch(store, { prefix: "", fromRevision: page.revision + 1 });
    await put(direct, { b: "3" });
    await again.until(({ events }) => events.length === 1);
    const listed: string[] = [];
    for await (const entry of scan(store, "")) listed.push(`${entry.key}=${text(entry)}`);
    assert.deepEqual(listed, ["b=3"]);
  });

  broken("fault 32: a watch is told when the store was put back", async ({ etcd, store }) => {
    await put(store, { a: "1" });
    await put(store, { a: "2" });
    const log = new WatchLog();
    await log.watch(store, { prefix: "" });
    const [member] = etcd.members;
    await member?.stop("SIGKILL");
    await member?.wipe();
    await member?.start();
    await log.until(({ compacted }) => compacted !== undefined);
    assert.deepEqual(log.lines, []);
    assert.equal(await store.get("a"), undefined);
    await put(store, { a: "new" });
  });
});

function broken(title: string, body: (opened: Broken) => Promise<void>): void {
  test(title, async () => {
    const etcd = await startEtcd();
    const address = etcd.members[0]?.address as string;
    const wire = await FaultyWire.listen(address);
    const prefix = randomUUID();
    const store = await openEtcdStore(etcdAddress(`etcd://${wire.address}/${prefix}`));
    const direct = await openEtcdStore(etcdAddress(`etcd://${address}/${prefix}`));
    try {
      // The session is begun before the wire breaks.
      await put(store, { warm: "up" });
      await remove(store, "warm");
      await body({ etcd, wire, store, direct });
    } finally {
      await store.close();
      await direct.close();
      await wire.close();
      await etcd.dispose();
    }
  });
}

async function revisionOf(store: Store): Promise<number> {
  return (await store.range({ prefix: "", limit: 1 })).revision;
}

/** Counts a key up to INCREMENTS by compare and put, from several writers, each count by one of them. */
async function countUp(store: Store, counted: (count: number) => void): Promise<void> {
  const count = async (): Promise<void> => {
    while (true) {
      const entry = await store.get("counter");
      const next = Number(text(entry) ?? 0) + 1;
      if (next > INCREMENTS) return;
      const { committed } = await store.transact({
        compares: [{ key: "counter", modRevision: entry?.modRevision ?? 0 }],
        operations: [{ put: "counter", value: bytes(`${next}`) }],
      });
      if (committed) counted(next);
    }
  };
  await Promise.all(Array.from({ length: WRITERS }, count));
}
