// Opens the SQLite driver for a test, in a temporary folder and on a clock that the test turns.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openSqliteStore, type SqliteStoreOptions } from "../../runtime/store/sqlite-store.ts";
import { ManualClock } from "./manual-clock.ts";
import type { OpenedStore } from "./opened-store.ts";

/** An empty SQLite store, and where its file is. */
export async function openSqliteForTest(
  options: SqliteStoreOptions = {},
): Promise<OpenedStore & { readonly path: string }> {
  const folder = await mkdtemp(join(tmpdir(), "millrace-store-"));
  const path = join(folder, "new", "store.db");
  const clock = new ManualClock();
  const open = () => openSqliteStore(path, { clock, ...options });
  let store = open();
  const reopen: OpenedStore["reopen"] = async (between) => {
    await store.close();
    await between?.();
    store = open();
    return store;
  };
  return {
    store,
    path,
    url: `sqlite:${path}`,
    passTime: async (ms) => clock.pass(ms),
    reopen,
    restart: () => reopen(),
    dispose: async () => {
      await store.close();
      await rm(folder, { recursive: true });
    },
  };
}
