// A build wherever it is: in the store, or archived.
import type { BuildRow } from "../../core/builds/build-row.ts";
import type { Past } from "../history/past.ts";
import { BUILD_ID } from "./build-keys.ts";
import type { BuildTable } from "./build-table.ts";

export interface SeenBuildOptions {
  readonly table: BuildTable;
  readonly past: Past;
}

/** The build of this id; undefined: there was none, or no build can have that id. */
export async function seenBuild(
  { table, past }: SeenBuildOptions,
  id: string,
): Promise<BuildRow | undefined> {
  if (!BUILD_ID.test(id)) return undefined;
  return (await table.get(id)) ?? (await past.build(id));
}
