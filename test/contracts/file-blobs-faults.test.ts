// What is the file: driver's own: a full disk, links that lead away, what dead writers left, and how
// many files it holds open.
import { strict as assert } from "node:assert";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, readdir, readlink, rm, symlink, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";
import {
  BlobFullError,
  BlobNotFoundError,
  type BlobStore,
  BlobUnavailableError,
} from "../../runtime/blobs/blob-store.ts";
import { openBlobStore } from "../../runtime/blobs/open-blob-store.ts";
import { until } from "../lab/until.ts";
import { content, keysOf, parts, pattern } from "./opened-blobs.ts";
import { openFilesForTest } from "./opened-files.ts";
import { mountSmallDisk } from "./small-disk.ts";

const WRITER = fileURLToPath(new URL("blob-writer-child.ts", import.meta.url));
const OPEN_FILES_MAX = 64;

test("stores on two file systems share nothing: the blob has to be put", async () => {
  const disk = mountSmallDisk(1024);
  const { store, dispose } = await openFilesForTest();
  try {
    const other = await openBlobStore(`file:${disk.path}`);
    await other.put("k", pattern(1_000));
    const unread = async (): Promise<void> => assert.fail("it was verified in vain");
    assert.equal(await store.share?.("k", other, unread), "apart");
    assert.deepEqual(await keysOf(store, ""), []);
    await other.close();
  } finally {
    await dispose();
    disk.remove();
  }
});

test("fault 12: a full disk refuses the put, keeps nothing of it, and can be freed", async () => {
  const disk = mountSmallDisk(1024);
  try {
    const store = await openBlobStore(`file:${disk.path}`);
    await store.put("kept", pattern(400_000));
    for (const body of [pattern(900_000), parts(pattern(900_000), 50_000)]) {
      await assert.rejects(store.put("big/one", body), (error: Error) => {
        assert(error instanceof BlobFullError);
        assert.match(error.message, /no space left for blob big\/one/);
        return true;
      });
      assert.deepEqual(await readdir(join(disk.path, ".tmp")), []);
      assert.deepEqual(await keysOf(store, ""), ["kept"]);
    }
    assert.equal(await store.put("big/one", pattern(300_000)), "stored");
    await store.delete("kept");
    assert.equal(await store.put("big/two", pattern(500_000)), "stored");
    assert((await content(store, "big/two")).equals(pattern(500_000)));
    await store.close();
  } finally {
    disk.remove();
  }
});

test("fault 12: a disk without room for names refuses the put and keeps nothing of it", async () => {
  const disk = mountSmallDisk(1024, 40);
  try {
    const store = await openBlobStore(`file:${disk.path}`);
    let refusal: unknown;
    let count = 0;
    while (refusal === undefined) {
      try {
        await store.put(`many/${count}/blob`, pattern(0));
        count += 1;
      } catch (error) {
        refusal = error;
      }
    }
    assert(refusal instanceof BlobFullError);
    assert.deepEqual(await readdir(join(disk.path, ".tmp")), []);
    assert.equal((await keysOf(store, "")).length, count);
    await store.close();
  } finally {
    disk.remove();
  }
});

test("threat 19: symbolic links are never followed out of the root", async () => {
  const { store, root, dispose } = await openFilesForTest();
  const outside = join(root, "..", "outside");
  await mkdir(outside);
  await writeFile(join(outside, "secret="), "secret");
  await store.put("real/blob", pattern(5));
  const blobs = join(root, "blobs");
  await symlink(outside, join(blobs, "link"));
  await symlink(join(outside, "secret="), join(blobs, "file="));
  await symlink(outside, join(blobs, "real", "deep"));
  for (const key of ["link/secret", "link/new", "real/deep/secret", "link/sub/new"]) {
    await assert.rejects(store.put(key, pattern(3)), BlobUnavailableError, key);
    if (key.includes("sub")) continue;
    await assert.rejects(content(store, key), BlobUnavailableError, key);
    await assert.rejects(store.head(key), BlobUnavailableError, key);
    await assert.rejects(store.delete(key), BlobUnavailableError, key);
  }
  await assert.rejects(store.put("file", pattern(3)), BlobUnavailableError);
  await assert.rejects(content(store, "file"), BlobUnavailableError);
  await assert.rejects(store.list("link/"), BlobUnavailableError);
  assert.deepEqual(await keysOf(store, ""), ["real/blob"]);
  assert.deepEqual(await readdir(outside), ["secret="]);
  await dispose();
});

test("fault 13: what dead writers left is removed, what living ones write is not", async () => {
  const { store, root, url, dispose } = await openFilesForTest();
  const temps = join(root, ".tmp");
  const args = [WRITER, url, "done/before", "torn/blob"];
  const writer = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  const exited = once(writer, "exit");
  await once(writer.stdout, "data");
  const [living = ""] = await readdir(temps);
  const reused = living.replace(`.${writer.pid}.`, `.${process.pid}.`);
  const elsewhere = ["0123456789abcdef.1.recent", "0123456789abcdef.1.old", "stray"];
  for (const name of [reused, ...elsewhere]) await writeFile(join(temps, name), "x");
  for (const name of [reused, "0123456789abcdef.1.old", "stray"]) {
    await utimes(join(temps, name), 1e9, 1e9);
  }
  await (await openBlobStore(url)).close();
  assert.deepEqual((await readdir(temps)).sort(), ["0123456789abcdef.1.recent", living].sort());
  writer.kill("SIGKILL");
  await exited;
  assert((await readdir(temps)).includes(living));
  await (await openBlobStore(url)).close();
  assert.deepEqual(await readdir(temps), ["0123456789abcdef.1.recent"]);
  assert.deepEqual(await keysOf(store, ""), ["done/before"]);
  await dispose();
});

test("open files are bounded, and closed when their blob is deleted", async () => {
  const { store, root, dispose } = await openFilesForTest();
  const keys = Array.from({ length: 200 }, (_, n) => `many/${n}`);
  for (const key of keys) await store.put(key, pattern(10));
  await Promise.all(keys.map((key) => readOne(store, key)));
  for (const key of keys) await readOne(store, key);
  assert.equal((await openBelow(root)).length, OPEN_FILES_MAX);
  for (const key of keys) await store.delete(key);
  await until("every file is closed", async () => (await openBelow(root)).length === 0);
  await assert.rejects(readOne(store, "many/1"), BlobNotFoundError);
  assert.deepEqual(await readdir(join(root, "blobs")), [], "empty directories go too");
  await dispose();
});

test("two programs on one root make and remove the same directories", async () => {
  const { store, url, dispose } = await openFilesForTest();
  const other = await openBlobStore(url);
  const work = [store, other].map(async (mine, index) => {
    for (let n = 0; n < 100; n += 1) {
      const key = `deep/er/${n % 2}/${index}`;
      assert.equal(await mine.put(key, pattern(3)), "stored");
      assert.equal(await mine.delete(key), true);
    }
  });
  await Promise.all(work);
  assert.equal(await store.put("deep/er/0/last", pattern(3)), "stored");
  assert.equal(await other.delete("deep/er/0/last"), true);
  assert.equal(await store.put("deep/er/0/last", pattern(3)), "stored");
  assert.deepEqual(await keysOf(other, ""), ["deep/er/0/last"]);
  await other.close();
  await dispose();
});

test("a store is named by its URL, and refused where it cannot be", async () => {
  const { store, root, dispose } = await openFilesForTest();
  await store.put("k", pattern(5));
  const same = await openBlobStore(pathToFileURL(root).href);
  assert((await content(same, "k")).equals(pattern(5)));
  await same.close();
  await writeFile(join(root, "plain"), "");
  await assert.rejects(openBlobStore(`file:${join(root, "plain")}`), BlobUnavailableError);
  for (const url of ["", "file:", "s3://bucket", root]) {
    await assert.rejects(openBlobStore(url), /is not known: give file:PATH/);
  }
  await rm(join(root, ".tmp"), { recursive: true });
  await symlink("/", join(root, ".tmp"));
  await assert.rejects(openBlobStore(`file:${root}`), /\.tmp is not a directory/);
  await dispose();
});

async function readOne(store: BlobStore, key: string): Promise<void> {
  const target = new Uint8Array(20);
  assert.equal(await store.read(key, 0, target), 10);
  assert(Buffer.from(target.subarray(0, 10)).equals(pattern(10)));
}

/** The open files of this process below a folder, by Linux's own account. */
async function openBelow(folder: string): Promise<string[]> {
  const descriptors = await readdir("/proc/self/fd");
  const links = descriptors.map((name) => readlink(`/proc/self/fd/${name}`).catch(() => ""));
  return (await Promise.all(links)).filter((path) => path.startsWith(folder));
}
