// What must hold of builds at every instant: attempts that rise, one build for equal requests, no result of an attempt that
// is not current, no more than three deliveries; and at the end, that each has ended and what follows it exists.

import { type BuildRow, isLive, packOf } from "../../core/builds/build-row.ts";
import { reissue } from "../../core/builds/build-transitions.ts";
import { packNamed } from "./region-packs.ts";
import { hold } from "./violation.ts";

/** Workers that a build may take with it before it is given up. */
const DELIVERIES_MAX = 3;

export class BuildChecks {
  readonly #rows = new Map<string, BuildRow>();
  readonly #byKey = new Map<string, string>();

  /** A build's row is written. */
  written(row: BuildRow, isBehind = false): void {
    const { id, attempt, dedupKey } = row;
    const before = this.#rows.get(id);
    const other = this.#byKey.get(dedupKey);
    hold(other === undefined || other === id, "equal requests are one build", () => {
      return `${other} and ${id} are both for ${dedupKey}`;
    });
    this.#byKey.set(dedupKey, id);
    this.#rows.set(id, row);
    if (before === undefined) return;
    hold(isLive(before) || before.state === row.state, "a build ends once", () => {
      return `${id} was ${before.state} and is ${row.state}`;
    });
    const again = reissue(before, 0);
    // The store was put back, and an operator goes on from it.
    if (isBehind && again.ok && again.row.attempt === attempt) return;
    const isLeased = row.state === "leased" && before.state === "queued";
    hold(
      attempt === before.attempt + (isLeased ? 1 : 0),
      "each lease is an attempt of its own",
      () => {
        return `${id} went from ${before.state} in attempt ${before.attempt} to ${row.state} in ${attempt}`;
      },
    );
    hold(row.losses <= DELIVERIES_MAX, "a build is given up after three deliveries", () => {
      return `${id} was lost ${row.losses} times`;
    });
    if (row.state !== "succeeded") return;
    hold(row.release === packOf(id, attempt), "the current attempt's result counts alone", () => {
      return `${id} succeeded in attempt ${attempt} with ${row.release}`;
    });
  }

  /** The build whose attempt makes the pack now. */
  madeBy(pack: string): string | undefined {
    const rows = [...this.#rows.values()].filter(({ state }) => state === "leased");
    return rows.find(({ id, attempt }) => packNamed(packOf(id, attempt)) === pack)?.id;
  }

  get areAllOver(): boolean {
    for (const row of this.#rows.values()) if (isLive(row)) return false;
    return true;
  }

  /** The store was put back: builds that it does not know have never been. */
  restored(rows: readonly BuildRow[]): void {
    this.#rows.clear();
    this.#byKey.clear();
    for (const row of rows) {
      this.#rows.set(row.id, row);
      this.#byKey.set(row.dedupKey, row.id);
    }
  }

  /** At the end; `acknowledged`: builds by what was asked for. */
  conclude(acknowledged: ReadonlyMap<string, string>, rollouts: ReadonlySet<string>): void {
    for (const [key, id] of acknowledged) {
      hold(this.#rows.has(id), "nothing acknowledged is lost", () => {
        return `${key} was answered with ${id}, which nobody knows`;
      });
    }
    for (const row of this.#rows.values()) {
      hold(!isLive(row), "every build ends", () => `${row.id} is ${row.state} at the end`);
      if (row.state !== "succeeded" || row.ship === undefined) continue;
      hold(rollouts.has(row.rollout), "a build that is shipped has its rollout", () => {
        return `${row.id} names ${row.rollout || "none"}`;
      });
    }
  }
}
