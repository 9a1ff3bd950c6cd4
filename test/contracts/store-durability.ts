// Contract of the store: what was acknowledged is there afterwards, whatever ended the writer.
import { strict as assert } from "node:assert";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { scan } from "../../runtime/store/store.ts";
import { StoreUnavailableError } from "../../runtime/store/store-errors.ts";
import { openedCase } from "./opened-case.ts";
import { type OpenStore, put, text } from "./opened-store.ts";

const WRITER = fileURLToPath(new URL("store-writer.ts", import.meta.url));

/** Registers the cases. */
export function durabilityCases(open: OpenStore): void {
  openedCase(open, "a closed store refuses, and is as it was when reopened", async (opened) => {
    const { store } = opened;
    await put(store, { a: "1" });
    const last = put(store, { a: "2" });
    const reopened = await opened.reopen(async () => {
      for (const call of [
        () => store.get("a"),
        () => store.range({ prefix: "" }),
        () => store.transact({ compares: [], operations: [] }),
        () => store.grantLease(5000),
        () => store.watch({ prefix: "" }, () => assert.fail("a closed store is silent")),
      ]) {
        await assert.rejects(call, StoreUnavailableError);
      }
      await store.close();
    });
    const revision = await last;
    assert.equal(text(await reopened.get("a")), "2", "close finishes what was asked");
    assert.equal(await put(reopened, { a: "3" }), revision + 1);
  });

  openedCase(
    open,
    "faults 1 and 13: writes acknowledged before kill -9 are there, each whole",
    async (opened) => {
      let acknowledged: string[] = [];
      for (const kills of [1, 40, 200]) {
        const store = await opened.reopen(async () => {
          acknowledged = [...acknowledged, ...(await writeAndKill(opened.url, kills))];
        });
        const pairs = new Map<string, string[]>();
        for await (const { key } of scan(store, "")) {
          const [side = "", name = ""] = key.split("/");
          pairs.set(name, [...(pairs.get(name) ?? []), side]);
        }
        for (const name of acknowledged) assert(pairs.has(name), `${name} was acknowledged`);
        for (const [name, sides] of pairs) assert.deepEqual(sides, ["left", "right"], name);
      }
      assert(acknowledged.length >= 241);
    },
  );
}

/** Starts a writer on the store, kills it after so many acknowledgements; the names it told. */
async function writeAndKill(url: string, acknowledgements: number): Promise<string[]> {
  const writer = spawn(process.execPath, [WRITER, url], { stdio: ["ignore", "pipe", "inherit"] });
  const exited = once(writer, "exit");
  const names: string[] = [];
  for await (const name of createInterface({ input: writer.stdout })) {
    names.push(name);
    if (names.length === acknowledgements) writer.kill("SIGKILL");
  }
  const [, signal] = await exited;
  assert.equal(signal, "SIGKILL", "the writer writes until it is killed");
  return names;
}
