// Opens a store by its URL, so that programs name a place and not a driver.
import { openSqliteStore } from "./sqlite-store.ts";
import type { Store } from "./store.ts";

/** Opens `sqlite:PATH`; throws for another scheme, StoreUnavailableError when it cannot be opened. */
export async function openStore(url: string): Promise<Store> {
  const path = url.startsWith("sqlite:") ? url.slice("sqlite:".length) : "";
  if (path === "") {
    throw new Error(`store ${JSON.stringify(url)} is not known: give sqlite:PATH`);
  }
  return openSqliteStore(path);
}
