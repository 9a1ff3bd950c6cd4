// What one service takes of a machine's disk: its releases, and the one that is coming.

import type { Journal } from "../core/fleet/agent-journal.ts";
import type { HeldRelease } from "../core/fleet/disk-budget.ts";
import type { ServiceFolder } from "./service-folder.ts";

/** Releases on disk and `coming`, by what the journal says of them; a release without a record counts nothing. */
export function heldReleases(
  service: string,
  folder: ServiceFolder,
  { current, lastGood, switching, history }: Journal,
  coming = "",
): HeldRelease[] {
  const runnable = [current, lastGood, switching?.from, switching?.to];
  const needed = new Set([...runnable.map((one) => one?.release), coming]);
  const names = new Set([...folder.releases(), ...(coming === "" ? [] : [coming])]);
  return [...names].map((release) => {
    const place = history.indexOf(release);
    return {
      service,
      release,
      bytes: folder.readRecord(release)?.bytes ?? 0,
      isNeeded: needed.has(release),
      age: place === -1 ? history.length : place,
    };
  });
}
