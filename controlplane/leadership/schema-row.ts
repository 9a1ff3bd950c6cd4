// Which version of the rows the store holds, as a row of its own: a program that is too old for them refuses to
// start, or ends, before it has read or written one of them wrongly.
import { z } from "zod";
import type { Entry, Store } from "../../runtime/store/store.ts";
import { type Fence, FenceLostError } from "../fence.ts";

const SCHEMA_KEY = "schema";
/** A store that is away when it is to be followed anew is asked again after so long. */
const RETRY_MS = 1_000;

/**
 * Version of the rows that this program writes, and the oldest version of a program that understands them. A
 * release that changes rows raises the first; the second follows a release later, as replicas of two versions
 * run side by side during an upgrade.
 */
const SCHEMA = { version: 1, readableFrom: 1 };

const count = z.number().int().positive();
const SchemaRow = z.object({ version: count, readableFrom: count });

/** The store was written by a newer program. */
export class SchemaError extends Error {
  override readonly name = "SchemaError";

  constructor(readableFrom: number) {
    super(
      `the store has rows that programs of schema ${readableFrom} and later understand, this one has schema ` +
        `${SCHEMA.version}: run the newer version, or restore a backup from before the upgrade`,
    );
  }
}

/** Throws SchemaError where the store is newer than this program; `onNewer` is called where it becomes so. */
export async function holdToSchema(
  store: Store,
  onNewer: (error: SchemaError) => void,
): Promise<void> {
  const followAgain = (): void => {
    holdToSchema(store, onNewer).catch((error: unknown) => {
      if (error instanceof SchemaError) onNewer(error);
      else setTimeout(followAgain, RETRY_MS).unref();
    });
  };
  await store.watch(
    { prefix: SCHEMA_KEY },
    (events) => {
      for (const { type, entry } of events) {
        const error = type === "put" ? newerThan(entry) : undefined;
        if (error !== undefined) onNewer(error);
      }
    },
    followAgain,
  );
  const entry = await store.get(SCHEMA_KEY);
  const error = entry && newerThan(entry);
  if (error !== undefined) throw error;
}

/** Writes this program's version down, where the store has a lower one or none. Throws FenceLostError. */
export async function raiseSchema(store: Store, fence: Fence): Promise<void> {
  const entry = await store.get(SCHEMA_KEY);
  if (entry !== undefined && parse(entry).version >= SCHEMA.version) return;
  const value = new TextEncoder().encode(JSON.stringify(SCHEMA));
  const operations = [{ put: SCHEMA_KEY, value }];
  const { committed } = await store.transact({ compares: [fence.compare], operations });
  if (!committed) throw new FenceLostError();
}

/** Why this program may not go on; undefined: it may. */
function newerThan(entry: Entry): SchemaError | undefined {
  const { readableFrom } = parse(entry);
  return readableFrom > SCHEMA.version ? new SchemaError(readableFrom) : undefined;
}

function parse(entry: Entry): z.infer<typeof SchemaRow> {
  return SchemaRow.parse(JSON.parse(new TextDecoder().decode(entry.value)));
}
