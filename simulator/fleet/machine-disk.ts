// The disk of a simulated machine, and the processes of its service: what outlives the agent. A switch's steps are
// carried out here as agent/run does it, each in its time, and with the fate that the release has on this machine.
import { EMPTY_JOURNAL, type Journal } from "../../core/fleet/agent-journal.ts";
import type { ReleaseId } from "../../core/fleet/runnable.ts";

/** What becomes of a release on a machine that runs it. */
export type Fate =
  | { readonly kind: "good" }
  /** The process ends at once. */
  | { readonly kind: "crashes" }
  /** It never answers its check. */
  | { readonly kind: "hangs" }
  /** It is healthy, and ends after so long, each time. */
  | { readonly kind: "dies-later"; readonly afterMs: number }
  /** It is healthy, and answers no check after so long. */
  | { readonly kind: "sickens"; readonly afterMs: number };

export const GOOD: Fate = { kind: "good" };

/** A process of the service. */
export interface Running {
  readonly release: ReleaseId;
  readonly since: number;
}

/** A release on disk. */
export interface Stored {
  /** What was written is on the platters: a power loss leaves it whole. */
  isSynced: boolean;
  /** It is not what it should be: torn, or rotten. */
  isBroken: boolean;
}

export class MachineDisk {
  journal: Journal = EMPTY_JOURNAL;
  /** The journal before, which a power loss may bring back while the newer one is not on the platters. */
  readonly releases = new Map<ReleaseId, Stored>();
  readonly running = new Map<ReleaseId, Running>();
  pointed: ReleaseId | undefined;
  /** Nothing can be written. */
  isFull = false;
  /** What writing the journal takes. */
  syncMs = 2;

  /** Releases that may be run. */
  get whole(): readonly ReleaseId[] {
    return [...this.releases].flatMap(([release, { isBroken }]) => (isBroken ? [] : release));
  }

  /** The machine loses its power: processes are gone, and what was not synced is torn. */
  cutPower(): void {
    this.running.clear();
    for (const stored of this.releases.values()) if (!stored.isSynced) stored.isBroken = true;
  }

  /** A new machine in the place of the old one. */
  wipe(): void {
    this.journal = EMPTY_JOURNAL;
    this.releases.clear();
    this.running.clear();
    this.pointed = undefined;
  }
}
