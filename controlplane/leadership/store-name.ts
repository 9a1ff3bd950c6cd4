// The store's name: made by its first leader and never changed, so that a relay of another store is told apart from one
// that has seen a later state of this. A store that was put in the place of others, lost without a backup, has their names
// beside its own.
import { randomBytes } from "node:crypto";
import { z } from "zod";
import type { Entry, Operation, Store } from "../../runtime/store/store.ts";
import { type Fence, FenceLostError } from "../fence.ts";

const NAME_KEY = "store-name";
/** Names that a store keeps beside its own; nobody replaces a store so often. */
const REPLACES_MAX = 100;

const name = z.string().regex(/^s-[0-9a-f]{16}$/);
const NameRow = z.object({ name, replaces: z.array(name) });

/** The name that relays are told, and those that they may come with. */
export type StoreName = Readonly<z.infer<typeof NameRow>>;

/** Reads the name, and gives the store one where it has none. Throws FenceLostError. */
export async function nameStore(store: Store, fence: Fence): Promise<StoreName> {
  const entry = await store.get(NAME_KEY);
  if (entry !== undefined) return parse(entry);
  const named: StoreName = { name: `s-${randomBytes(8).toString("hex")}`, replaces: [] };
  const operations = [{ put: NAME_KEY, value: encode(named) }];
  const { committed } = await store.transact({ compares: [fence.compare], operations });
  if (!committed) throw new FenceLostError();
  return named;
}

/** What a relay has followed as it says, where that is another store; undefined: this one, or none yet. */
export function foreignStore({ name: own, replaces }: StoreName, said: string): string | undefined {
  return said === "" || said === own || replaces.includes(said) ? undefined : said;
}

/** Puts the store in the place of those that these relays' words name; what is no name is left out. */
export function replacingOperations(named: StoreName, said: Iterable<string>): Operation[] {
  const others = [...said].filter((one) => name.safeParse(one).success && one !== named.name);
  const replaces = [...new Set([...named.replaces, ...others])].slice(-REPLACES_MAX);
  return [{ put: NAME_KEY, value: encode({ ...named, replaces }) }];
}

function parse(entry: Entry): StoreName {
  return NameRow.parse(JSON.parse(new TextDecoder().decode(entry.value)));
}

function encode(row: StoreName): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(row));
}
