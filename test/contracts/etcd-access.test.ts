// How a program is let into etcd: the URL and the files beside it, TLS with certificates of both sides, and
// users, whose tokens a restarted member does not know any more.
import { strict as assert } from "node:assert";
import { execFileSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { Etcd3 } from "etcd3";
import { etcdAddress, type StoreAccess } from "../../runtime/store/etcd-address.ts";
import { openStore } from "../../runtime/store/open-store.ts";
import { StoreUnavailableError } from "../../runtime/store/store-errors.ts";
import { startEtcd } from "../lab/etcd.ts";
import { put, text, WatchLog } from "./opened-store.ts";

let folder: string;
const file = (name: string): string => join(folder, name);

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "millrace-access-"));
  await writeFile(file("password"), "open sesame\n");
  await writeFile(file("wrong"), "open barley\n");
  await writeFile(file("empty"), "\n");
});
after(() => rm(folder, { recursive: true }));

test("an address has members and a prefix", () => {
  const table: readonly [string, readonly string[], string][] = [
    ["etcd://a:2379", ["a:2379"], "millrace"],
    ["etcd://a:2379/", ["a:2379"], "millrace"],
    ["etcd://a.b:1,10.0.0.1:2,[::1]:3/x/y", ["a.b:1", "10.0.0.1:2", "[::1]:3"], "x/y"],
  ];
  for (const [url, hosts, prefix] of table) {
    const address = etcdAddress(url);
    assert.deepEqual([address.hosts, address.prefix], [hosts, prefix], url);
  }
});

test("what is wrong with an address is said", async () => {
  const table: readonly [string, StoreAccess, RegExp][] = [
    ["etcd://", {}, /has "": give etcd:\/\/HOST:PORT/],
    ["etcd:a:1", {}, /has ""/],
    ["etcd://a:1,b", {}, /has "b"/],
    ["etcd://http://a:1", {}, /has "http:"/],
    [`etcd://${Array(10).fill("a:1")}`, {}, /has 10 members.*at most 9/],
    ["etcd://a:1//x", {}, /prefix "\/x"/],
    ["etcd://a:1/x y", {}, /prefix "x y"/],
    ["etcd://a:1", { cert: "c", key: "k" }, /needs --store-ca/],
    ["etcd://a:1", { ca: "c", key: "k" }, /--store-cert and --store-key/],
    ["etcd://a:1", { ca: file("none") }, /--store-ca cannot be read.*none/],
    ["etcd://a:1", { user: "u" }, /--store-user and --store-password-file/],
    ["etcd://a:1", { user: "u", passwordFile: file("empty") }, /empty is empty/],
    ["etcd://a:1,10.0.0.1:2", { ca: file("password") }, /10\.0\.0\.1:2 has no name/],
    ["etcd://[::1]:2", { ca: file("password") }, /\[::1\]:2 has no name/],
    ["sqlite:/x", { user: "u" }, /is a file/],
  ];
  for (const [url, access, message] of table) {
    await assert.rejects(openStore(url, access), message, url);
  }
});

describe("etcd access", () => {
  test("etcd is known by its certificate, and knows us by ours", async () => {
    // One certificate is all three: the authority, the server's and ours.
    execFileSync("openssl", [
      ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"],
      ...["-keyout", file("key"), "-out", file("cert"), "-days", "2", "-subj", "/CN=store"],
      ...["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
      ...["-addext", "extendedKeyUsage=serverAuth,clientAuth"],
    ]);
    const etcd = await startEtcd({
      secure: true,
      flags: [
        ...["--cert-file", file("cert"), "--key-file", file("key")],
        ...["--client-cert-auth", "--trusted-ca-file", file("cert")],
      ],
    });
    try {
      const url = `etcd://${etcd.hosts.replace("127.0.0.1", "localhost")}`;
      const ca = file("cert");
      const store = await openStore(url, { ca, cert: file("cert"), key: file("key") });
      const log = new WatchLog();
      await log.watch(store, { prefix: "" });
      await put(store, { a: "1" });
      await log.until(({ events }) => events.length === 1);
      await store.close();
      await Promise.all([
        assert.rejects(openStore(url, { ca }), StoreUnavailableError, "without a certificate"),
        assert.rejects(openStore(url), StoreUnavailableError, "without TLS"),
      ]);
    } finally {
      await etcd.dispose();
    }
  });

  test("a user is let in by password, and again after a restart", async () => {
    const etcd = await startEtcd();
    const root = new Etcd3({ hosts: `http://${etcd.hosts}` });
    try {
      await root.user("root").create("open sesame");
      await root.role("root").create();
      await root.user("root").addRole("root");
      await root.auth.authEnable();
      const url = `etcd://${etcd.hosts}`;
      const store = await openStore(url, { user: "root", passwordFile: file("password") });
      const lease = await store.grantLease(60_000);
      const log = new WatchLog();
      await log.watch(store, { prefix: "" });
      await put(store, { a: "1" });
      const [member] = etcd.members;
      await member?.stop("SIGKILL");
      await member?.start();
      await put(store, { a: "2" });
      await log.until(({ events }) => events.length === 2);
      assert.equal(await store.keepAlive(lease), true);
      assert.equal(text(await store.get("a")), "2");
      await store.close();
      const wrong = openStore(url, { user: "root", passwordFile: file("wrong") });
      await assert.rejects(wrong, (error: Error) => {
        assert(error instanceof StoreUnavailableError);
        assert.match(error.message, /authentication failed/);
        return true;
      });
      await assert.rejects(openStore(url), StoreUnavailableError, "without a user");
    } finally {
      root.close();
      await etcd.dispose();
    }
  });
});
