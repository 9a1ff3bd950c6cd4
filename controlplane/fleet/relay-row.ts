// A relay's registration as a row of the store: who is known, and so waited for, after a restart.
import { z } from "zod";
import type { Entry } from "../../runtime/store/store.ts";

export const RELAYS_PREFIX = "relays/";

const RelayRow = z.object({
  relay: z.string().min(1),
  region: z.string().min(1),
  address: z.string(),
  swarmAddress: z.string(),
  capacity: z.number().int().nonnegative(),
  version: z.string(),
});

export type RelayRow = Readonly<z.infer<typeof RelayRow>>;

export const relayKey = (relay: string): string => `${RELAYS_PREFIX}${relay}`;

export const encodeRelay = (row: RelayRow): Uint8Array =>
  new TextEncoder().encode(JSON.stringify(row));

/** Throws where the row is not a relay's. */
export const parseRelay = (entry: Entry): RelayRow =>
  RelayRow.parse(JSON.parse(new TextDecoder().decode(entry.value)));
