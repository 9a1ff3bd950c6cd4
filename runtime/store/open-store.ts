// Opens a store by its URL, so that programs name a place and not a driver. A driver is loaded only where it
// is used: etcd's takes a tenth of a second.
import { etcdAddress, type StoreAccess } from "./etcd-address.ts";
import { openSqliteStore } from "./sqlite-store.ts";
import type { Store } from "./store.ts";

/**
 * Opens `sqlite:PATH` or `etcd://HOST:PORT,HOST:PORT[/PREFIX]`; throws for another URL or files that cannot
 * be read, StoreUnavailableError when the store cannot be opened.
 */
export async function openStore(url: string, access: StoreAccess = {}): Promise<Store> {
  if (url.startsWith("etcd:")) {
    const address = etcdAddress(url, access);
    const { openEtcdStore } = await import("./etcd-store.ts");
    return openEtcdStore(address);
  }
  const path = url.startsWith("sqlite:") ? url.slice("sqlite:".length) : "";
  if (path === "") {
    throw new Error(
      `store ${JSON.stringify(url)} is not known: give sqlite:PATH or etcd://HOST:PORT,HOST:PORT[/PREFIX]`,
    );
  }
  const given = Object.values(access).find((value) => value !== undefined);
  if (given !== undefined) {
    throw new Error(`store ${JSON.stringify(url)} is a file: certificates and users are etcd's`);
  }
  return openSqliteStore(path);
}
