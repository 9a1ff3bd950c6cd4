// Contract of blob stores that can share a blob with another of their kind, without copying it.
import { strict as assert } from "node:assert";
import { BlobNotFoundError, type BlobStore } from "../../runtime/blobs/blob-store.ts";
import { content, keysOf, type OpenBlobs, pattern } from "./opened-blobs.ts";
import { openedCase } from "./opened-case.ts";

const SIZE = 600_000;
const nothing = async (): Promise<void> => {};

/** Registers the cases; stores that `open` opens must be able to share. */
export function blobSharingCases(open: OpenBlobs): void {
  sharingCase(open, "a shared blob is either store's own", async (store, other) => {
    await other.put("a/k", pattern(SIZE));
    let seen = 0;
    const verified = async (): Promise<void> => {
      assert.equal(await store.head("a/k"), undefined, "visible before it is verified");
      seen += 1;
    };
    assert.equal(await store.share?.("a/k", other, verified), "stored");
    assert.equal(await store.share?.("a/k", other, verified), "present");
    assert.equal(seen, 1);
    assert.equal(await other.delete("a/k"), true);
    assert.ok((await content(store, "a/k")).equals(pattern(SIZE)));
    assert.deepEqual(await store.head("a/k"), { key: "a/k", bytes: SIZE });
    await other.put("a/k", pattern(5));
    assert.ok((await content(store, "a/k")).equals(pattern(SIZE)));
    assert.equal(await store.delete("a/k"), true);
    assert.ok((await content(other, "a/k")).equals(pattern(5)));
  });

  sharingCase(open, "what is not verified is not shared", async (store, other) => {
    await other.put("k", pattern(10));
    const failure = new Error("other bytes");
    const failing = (): Promise<void> => Promise.reject(failure);
    const shared = store.share?.("k", other, failing) ?? Promise.resolve("apart");
    await assert.rejects(shared, (error) => error === failure);
    assert.deepEqual(await keysOf(store, ""), []);
    assert.equal(await store.share?.("k", other, nothing), "stored");
  });

  sharingCase(open, "a blob that the other store lacks is not there", async (store, other) => {
    const shared = store.share?.("none", other, nothing) ?? Promise.resolve("apart");
    await assert.rejects(shared, BlobNotFoundError);
  });

  sharingCase(open, "of racing shares and puts one is stored", async (store, other) => {
    await other.put("k", pattern(SIZE));
    const outcomes = await Promise.all([
      store.share?.("k", other, nothing),
      store.put("k", pattern(SIZE)),
      store.share?.("k", other, nothing),
    ]);
    assert.deepEqual(outcomes.toSorted(), ["present", "present", "stored"]);
    assert.ok((await content(store, "k")).equals(pattern(SIZE)));
  });
}

function sharingCase(
  open: OpenBlobs,
  name: string,
  run: (store: BlobStore, other: BlobStore) => Promise<void>,
): void {
  openedCase(open, name, async ({ store }) => {
    const other = await open();
    try {
      await run(store, other.store);
    } finally {
      await other.dispose();
    }
  });
}
