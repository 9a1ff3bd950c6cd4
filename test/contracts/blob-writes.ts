// Contract of the blob store: putting, racing, being interrupted.
import { strict as assert } from "node:assert";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { BlobUnavailableError } from "../../runtime/blobs/blob-store.ts";
import { content, keysOf, type OpenBlobs, parts, pattern } from "./opened-blobs.ts";
import { openedCase } from "./opened-case.ts";

const WRITER = fileURLToPath(new URL("blob-writer-child.ts", import.meta.url));
const SIZE = 600_000;

/** Registers the cases. */
export function blobWriteCases(open: OpenBlobs): void {
  openedCase(open, "the first put wins, the second's body is closed", async ({ store }) => {
    assert.equal(await store.put("k", pattern(10, 1)), "stored");
    assert.equal(await store.put("k", pattern(20, 2)), "present");
    let closed = false;
    const body = async function* () {
      try {
        yield pattern(20, 3);
        yield pattern(20, 4);
      } finally {
        closed = true;
      }
    };
    assert.equal(await store.put("k", body()), "present");
    assert(closed);
    assert((await content(store, "k")).equals(pattern(10, 1)));
  });

  openedCase(open, "of racing puts one is stored, whole", async ({ store }) => {
    for (let round = 0; round < 5; round += 1) {
      const bodies = Array.from({ length: 12 }, (_, n) => pattern(SIZE + n, n + 1));
      const results = await Promise.all(
        bodies.map((body, n) => store.put(`r/${round}`, n % 2 ? body : parts(body, 50_000))),
      );
      const winner = results.indexOf("stored");
      assert.equal(results.filter((result) => result === "stored").length, 1);
      assert((await content(store, `r/${round}`)).equals(bodies[winner] ?? Buffer.of()));
    }
  });

  openedCase(open, "a put whose body fails leaves nothing visible", async ({ store }) => {
    const failure = new Error("the source vanished");
    const body = async function* () {
      yield* parts(pattern(SIZE), 100_000);
      assert.equal(await store.head("x/y"), undefined);
      assert.deepEqual(await keysOf(store, ""), []);
      throw failure;
    };
    await assert.rejects(store.put("x/y", body()), (error) => error === failure);
    assert.equal(await store.head("x/y"), undefined);
    assert.deepEqual(await keysOf(store, ""), []);
    assert.equal(await store.put("x/y", pattern(5)), "stored");
  });

  openedCase(open, "a put whose process is killed leaves nothing visible", async (opened) => {
    const args = [WRITER, opened.url, "done/before", "torn/blob"];
    const writer = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
    const exited = once(writer, "exit");
    const [told] = await once(writer.stdout, "data");
    assert.equal(`${told}`, "writing\n");
    assert.deepEqual(await keysOf(opened.store, ""), ["done/before"]);
    writer.kill("SIGKILL");
    await exited;
    const store = await opened.reopen();
    assert.deepEqual(await keysOf(store, ""), ["done/before"]);
    assert.equal((await content(store, "done/before")).length, 1 << 20);
    assert.equal(await store.put("torn/blob", pattern(5)), "stored");
  });

  openedCase(
    open,
    "puts and deletes side by side disturb each other nowhere",
    async ({ store }) => {
      const work = Array.from({ length: 8 }, async (_, worker) => {
        for (let n = 0; n < 25; n += 1) {
          const key = `deep/er/${n % 3}/${worker}`;
          assert.equal(await store.put(key, pattern(10, worker + 1)), "stored");
          assert((await content(store, key)).equals(pattern(10, worker + 1)));
          assert.equal(await store.delete(key), true);
        }
      });
      await Promise.all(work);
      assert.deepEqual(await keysOf(store, ""), []);
    },
  );

  openedCase(open, "a closed store has finished its puts and refuses", async (opened) => {
    const { store } = opened;
    const put = store.put("last", parts(pattern(SIZE), 10_000));
    await store.close();
    await store.close();
    assert.equal(await put, "stored");
    await assert.rejects(store.put("more", pattern(1)), BlobUnavailableError);
    await assert.rejects(store.head("last"), BlobUnavailableError);
    await assert.rejects(store.list(""), BlobUnavailableError);
    await assert.rejects(content(store, "last"), BlobUnavailableError);
    const reopened = await opened.reopen();
    assert((await content(reopened, "last")).equals(pattern(SIZE)));
  });

  test("a driver does what a map does", async () => {
    await fc.assert(fc.asyncProperty(fc.array(STEP, { maxLength: 40 }), mapProperty(open)), {
      numRuns: 40,
    });
  });
}

const SEGMENT = fc.constantFrom("a", "b", "a-", "a0", ".a", "a.b");
const KEY = fc.array(SEGMENT, { minLength: 1, maxLength: 3 }).map((all) => all.join("/"));
const STEP = fc.record({
  what: fc.constantFrom("put", "put", "put", "delete", "list", "read" as const),
  key: KEY,
  size: fc.nat(50),
});

type Step = typeof STEP extends fc.Arbitrary<infer T> ? T : never;

function mapProperty(open: OpenBlobs): (steps: readonly Step[]) => Promise<void> {
  return async (steps) => {
    const opened = await open();
    const { store } = opened;
    const model = new Map<string, Uint8Array>();
    try {
      for (const { what, key, size } of steps) {
        const held = model.get(key);
        if (what === "put") {
          const result = await store.put(key, pattern(size, size + 1));
          assert.equal(result, held ? "present" : "stored");
          if (!held) model.set(key, pattern(size, size + 1));
        } else if (what === "delete") {
          assert.equal(await store.delete(key), model.delete(key));
        } else if (what === "list") {
          const under = [...model.keys()].filter((name) => name.startsWith(key)).sort();
          assert.deepEqual(await keysOf(store, key, { limit: 1 + (size % 4) }), under);
        } else {
          assert.deepEqual(await store.head(key), held && { key, bytes: held.length });
          const target = new Uint8Array(size);
          if (held) assert.equal(await store.read(key, 0, target), Math.min(size, held.length));
        }
      }
      assert.deepEqual(await keysOf(store, ""), [...model.keys()].sort());
      for (const [key, bytes] of model) assert((await content(store, key)).equals(bytes));
    } finally {
      await opened.dispose();
    }
  };
}
