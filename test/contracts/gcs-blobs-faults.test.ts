// What is the gs: driver's own: uploads and downloads that break and go on, answers that are lost, bytes that
// are damaged, and what a user is told of a bucket that cannot be used.
import { strict as assert } from "node:assert";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import {
  BlobFullError,
  BlobNotFoundError,
  type BlobStore,
  BlobUnavailableError,
} from "../../runtime/blobs/blob-store.ts";
import { parseGcsAddress } from "../../runtime/blobs/gcs-address.ts";
import { openGcsBlobs } from "../../runtime/blobs/gcs-blobs.ts";
import { openBlobStore } from "../../runtime/blobs/open-blob-store.ts";
import { FakeGcs, fakeGcsMissing } from "../lab/fake-gcs.ts";
import { type FrontFault, type FrontPurpose, GcsFront } from "../lab/gcs-front.ts";
import { content, keysOf, parts, pattern } from "./opened-blobs.ts";

/** Three chunks: the store sends 8 MiB at a time. */
const SIZE = 20_000_000;
const BYTES = pattern(SIZE);
/** Far more than sockets hold. */
const CUT_AT = 18_000_000;
/** Enough for a few tries; what never succeeds is given up soon. */
const PATIENCE_MS = 3_000;

describe("a gs: store", { skip: fakeGcsMissing(), timeout: 240_000 }, () => {
  let server: FakeGcs;
  let front: GcsFront;
  let store: BlobStore;
  let stores = 0;
  const opened: BlobStore[] = [];

  const open = async (): Promise<BlobStore> => {
    const bucket = `bucket-${stores++}`;
    await server.createBucket(bucket);
    const address = parseGcsAddress(`gs://${bucket}/packs?endpoint=${front.endpoint}`);
    const one = await openGcsBlobs(address, { patienceMs: PATIENCE_MS });
    opened.push(one);
    return one;
  };
  /** The fault happens to the n-th request of a kind, counted from 1. */
  const strike = (purpose: FrontPurpose, nth: number, fault: FrontFault): void => {
    let count = 0;
    front.rule = (each) => (each === purpose && ++count === nth ? fault : undefined);
  };

  before(async () => {
    server = await FakeGcs.start();
    front = await GcsFront.listen(server.endpoint);
    store = await open();
  });
  after(async () => {
    await Promise.all(opened.map((one) => one.close()));
    await front.close();
    await server.kill();
  });

  const BROKEN: readonly (readonly [string, FrontPurpose, number, FrontFault, number])[] = [
    ["its connection breaks in a chunk", "put", 2, { kind: "cut-request", bytes: 5_000_000 }, 1],
    ["it breaks before a byte has come", "put", 1, { kind: "cut-request", bytes: 1 }, 1],
    ["the answer to a chunk is lost", "put", 2, { kind: "lose-answer" }, 0],
    ["the answer to its end is lost", "put", 3, { kind: "lose-answer" }, 0],
    ["the answer to its beginning is lost", "begin", 1, { kind: "lose-answer" }, 0],
    ["GCS says 503", "put", 3, { kind: "answer", status: 503 }, 1],
    ["GCS asks for patience", "begin", 1, { kind: "answer", status: 429 }, 0],
  ];
  for (const [index, [what, purpose, nth, fault, again]] of BROKEN.entries()) {
    test(`fault 21: a put goes on where ${what}`, async () => {
      const key = `broken/${index}`;
      strike(purpose, nth, fault);
      const before = front.sentBytes();
      assert.equal(await store.put(key, parts(BYTES, 1_000_000)), "stored");
      assert((await content(store, key)).equals(BYTES));
      const sent = front.sentBytes() - before;
      const chunks = again * (8 << 20);
      assert(sent >= SIZE && sent <= SIZE + chunks, `${sent} bytes sent of ${SIZE}`);
    });
  }

  test("fault 21: an upload that always fails is given up, and nothing is visible", async () => {
    front.rule = (purpose) => (purpose === "put" ? { kind: "answer", status: 503 } : undefined);
    let isClosed = false;
    const body = async function* () {
      try {
        yield* parts(BYTES, 1_000_000);
      } finally {
        isClosed = true;
      }
    };
    await assert.rejects(store.put("never", body()), (error: Error) => {
      assert(error instanceof BlobUnavailableError);
      assert.match(error.message, /cannot use blob never in gs:\/\/bucket-0: answered 503/);
      return true;
    });
    assert(isClosed);
    front.rule = () => undefined;
    assert.equal(await store.head("never"), undefined);
    assert.equal(await store.put("never", BYTES), "stored");
  });

  test("fault 21: bytes damaged on their way there are found, and deleted there", async () => {
    strike("put", 2, { kind: "damage" });
    const told = { name: "BlobUnavailableError", message: /was damaged on its way/ };
    await assert.rejects(store.put("damaged", BYTES), told);
    assert.equal(await store.head("damaged"), undefined);
  });

  test("an upload that GCS forgot begins anew while it can, else it is given up", async () => {
    strike("put", 1, { kind: "answer", status: 410 });
    assert.equal(await store.put("forgotten/early", BYTES), "stored");
    strike("put", 2, { kind: "answer", status: 410 });
    const told = { name: "BlobUnavailableError", message: /does not know its upload any more/ };
    await assert.rejects(store.put("forgotten/late", BYTES), told);
    assert.deepEqual(await keysOf(store, "forgotten/"), ["forgotten/early"]);
  });

  test("a put outlasts a server that is away, and a read of what is there, too", async () => {
    const folder = await mkdtemp(join(tmpdir(), "millrace-gcs-"));
    const frail = await FakeGcs.start(folder);
    await frail.createBucket("frail");
    const address = parseGcsAddress(`gs://frail?endpoint=${frail.endpoint}`);
    const one = await openGcsBlobs(address);
    await one.put("kept", BYTES);
    await frail.kill();
    const put = one.put("late", BYTES);
    const read = content(one, "kept");
    await frail.restart();
    assert.equal(await put, "stored");
    assert((await read).equals(BYTES));
    await one.close();
    await frail.kill();
    await rm(folder, { recursive: true });
  });

  const CUT: readonly (readonly [string, number, FrontFault])[] = [
    ["breaks", 1, { kind: "cut-answer", bytes: CUT_AT }],
    ["is refused for a while", 1, { kind: "answer", status: 503 }],
  ];
  for (const [what, nth, fault] of CUT) {
    test(`fault 21: a download that ${what} goes on at its byte`, async () => {
      front.rule = () => undefined;
      if ((await store.head("read")) === undefined) await store.put("read", BYTES);
      const before = front.fetchedBytes();
      strike("media", nth, fault);
      assert((await content(store, "read")).equals(BYTES));
      const fetched = front.fetchedBytes() - before;
      // What lay in the sockets of a connection that broke comes again.
      assert(fetched < SIZE + CUT_AT, `${fetched} bytes fetched of ${SIZE}`);
      strike("media", nth, fault);
      const target = new Uint8Array(19_000_000);
      assert.equal(await store.read("read", 1_000, target), target.length);
      assert(Buffer.from(target).equals(BYTES.subarray(1_000, 19_001_000)));
    });
  }

  test("fault 14: a blob whose bytes are not those that were put is not given whole", async () => {
    strike("media", 1, { kind: "damage" });
    const told = { name: "BlobUnavailableError", message: /does not have the MD5/ };
    await assert.rejects(content(store, "read"), told);
  });

  test("a blob that is deleted and put anew is not read in parts of both", async () => {
    const broken = { kind: "cut-answer", bytes: SIZE / 2 } as const;
    front.rule = (purpose) => (purpose === "media" ? broken : undefined);
    await store.put("anew", BYTES);
    const reader = store.get("anew")[Symbol.asyncIterator]();
    await reader.next();
    await store.delete("anew");
    await store.put("anew", pattern(SIZE, 7));
    const rest = async (): Promise<void> => {
      while (!(await reader.next()).done);
    };
    await assert.rejects(rest(), BlobNotFoundError);
  });

  test("an object that is not there is told from a bucket that is gone", async () => {
    const say = (message: string): void => {
      const body = JSON.stringify({ error: { code: 404, message } });
      front.rule = () => ({ kind: "answer", status: 404, body });
    };
    say("No such object: bucket-0/packs/bucket/none");
    assert.equal(await store.head("bucket/none"), undefined);
    assert.equal(await store.delete("bucket/none"), false);
    await assert.rejects(content(store, "bucket/none"), BlobNotFoundError);
    say("The specified bucket does not exist.");
    const told = { name: "BlobUnavailableError", message: /bucket bucket-0 does not exist/ };
    await assert.rejects(store.head("k"), told);
    await assert.rejects(store.delete("k"), told);
    await assert.rejects(content(store, "k"), told);
  });

  test("what stands in the way is said, with what to do", async () => {
    const say = (status: number, reason: string, message: string): void => {
      const body = JSON.stringify({
        error: { code: status, message, errors: [{ reason, message }] },
      });
      front.rule = () => ({ kind: "answer", status, body });
    };
    const address = parseGcsAddress(`gs://bucket-0?endpoint=${front.endpoint}`);
    const attempts = [
      () => openGcsBlobs(address, { patienceMs: PATIENCE_MS }),
      () => store.put("k", BYTES),
    ];
    for (const attempt of attempts) {
      say(403, "forbidden", "ship@x does not have storage.objects.list access");
      await assert.rejects(attempt(), (error: Error) => {
        assert(error instanceof BlobUnavailableError);
        assert.match(error.message, /permission denied.*ship@x.*grant it roles\/storage/);
        return true;
      });
      say(403, "quotaExceeded", "The project exceeded its quota");
      await assert.rejects(attempt(), (error: Error) => {
        assert(error instanceof BlobFullError);
        assert.match(error.message, /no quota left .* exceeded its quota; raise it/);
        return true;
      });
      say(401, "authError", "Invalid Credentials");
      await assert.rejects(attempt(), /its credentials are refused/);
      say(429, "rateLimitExceeded", "slow down");
      await assert.rejects(attempt(), /too many requests, for too long/);
    }
    front.rule = () => undefined;
    const missing = `gs://no-such-bucket?endpoint=${front.endpoint}`;
    await assert.rejects(openBlobStore(missing), /bucket no-such-bucket does not exist; create it/);
    const nobody = parseGcsAddress("gs://bucket-0?endpoint=http://127.0.0.1:1");
    await assert.rejects(
      openGcsBlobs(nobody, { patienceMs: 10 }),
      /http:\/\/127.0.0.1:1 cannot be reached/,
    );
  });
});

describe("a gs: store without credentials", () => {
  // Where there is no file, and nobody may be asked on the network.
  const CASES = [
    [{ GOOGLE_APPLICATION_CREDENTIALS: "/no/such/file.json" }, /no valid .*\/no\/such\/file.json/],
    [
      { HOME: "/nonexistent", CLOUDSDK_CONFIG: "/nonexistent" },
      /no valid .*set GOOGLE_APPLICATION/,
    ],
  ] as const;
  for (const [env, told] of CASES) {
    test(`says so with ${Object.keys(env)[0]} of no use`, async () => {
      const saved = { ...process.env };
      Object.assign(process.env, env, { METADATA_SERVER_DETECTION: "none" });
      try {
        await assert.rejects(openBlobStore("gs://bucket/prefix"), (error: Error) => {
          assert(error instanceof BlobUnavailableError);
          assert.match(error.message, told);
          return true;
        });
      } finally {
        process.env = saved;
      }
    });
  }
});

test("a gs: store is named by bucket and prefix, and refused where it cannot be", () => {
  const parse = (url: string): string => {
    const { bucket, prefix, endpoint } = parseGcsAddress(url);
    return `${bucket} ${prefix} ${endpoint}`;
  };
  const google = "https://storage.googleapis.com";
  assert.equal(parse("gs://a-b.c_d"), `a-b.c_d  ${google}`);
  assert.equal(parse("gs://bucket/"), `bucket  ${google}`);
  assert.equal(parse("gs://bucket/p/q/"), `bucket p/q/ ${google}`);
  assert.equal(parse("gs://bucket/p?endpoint=http://h:1"), "bucket p/ http://h:1");
  assert.equal(parseGcsAddress("gs://bucket", "h:1").endpoint, "http://h:1");
  const wrong = [
    ["gs://", /is no name of a bucket/],
    ["gs:bucket", /is no name of a bucket/],
    ["gs://B", /is no name of a bucket/],
    ["gs://bucket//p", /may not|must be/],
    ["gs://bucket/../p", /may not be/],
    [`gs://bucket/${"p/".repeat(300)}`, /has 600 bytes, the limit is 500/],
    ["gs://bucket?region=eu", /"region" is no setting of it/],
    ["gs://bucket?endpoint=ftp://h", /is not http/],
    ["gs://bucket?endpoint=http://h/path", /is not http/],
  ] as const;
  for (const [url, told] of wrong) assert.throws(() => parseGcsAddress(url), told, url);
});
