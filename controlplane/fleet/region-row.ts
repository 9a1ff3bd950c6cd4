// A region's checkpoint as a row of the store: the packs it was last known to hold whole.
import { z } from "zod";
import type { Entry } from "../../runtime/store/store.ts";

export const REGIONS_PREFIX = "regions/";

const RegionRow = z.object({
  /** Packs held whole, with their encoded bytes. */
  whole: z.array(z.object({ pack: z.string().min(1), bytes: z.number().nonnegative() })),
});

export type RegionRow = Readonly<z.infer<typeof RegionRow>>;

export const regionKey = (region: string): string => `${REGIONS_PREFIX}${region}`;

export const encodeRegion = (row: RegionRow): Uint8Array =>
  new TextEncoder().encode(JSON.stringify(row));

/** Throws where the row is not a region's. */
export const parseRegion = (entry: Entry): RegionRow =>
  RegionRow.parse(JSON.parse(new TextDecoder().decode(entry.value)));
