// Builds and rollouts that were archived, by their ids.
import type { BuildRow } from "../../core/builds/build-row.ts";
import { parseBuild } from "../builds/build-row-json.ts";
import { type RolloutRecord, recordOf } from "../rollouts/rollout-record.ts";
import type { Archive } from "./archive.ts";

/** A rollout as it was when it left the store. */
export interface PastRollout {
  readonly record: RolloutRecord;
  readonly revision: number;
}

/** Looks ids up in the archive; ask it after the store, which rows leave only once they are archived. */
export class Past {
  readonly #archive: Archive;

  constructor(archive: Archive) {
    this.#archive = archive;
  }

  /** Undefined: it was not archived. `id` is of the form of one. */
  async build(id: string): Promise<BuildRow | undefined> {
    const row = await this.#archive.find("builds", id);
    return row && parseBuild(row.json);
  }

  /** The same for a rollout. */
  async rollout(id: string): Promise<PastRollout | undefined> {
    const row = await this.#archive.find("rollouts", id);
    return row && { record: recordOf(row.json), revision: row.revision };
  }
}
