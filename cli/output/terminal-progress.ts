// Progress on a terminal: the build in a line, then a bar a region, bytes by source, and the time left
// against the 30 minutes that everything has.
import { MultiBar, type SingleBar } from "cli-progress";
import type { Build } from "../../proto/gen/millrace/v1/builds.ts";
import type { RegionProgress, Rollout } from "../../proto/gen/millrace/v1/rollouts.ts";
import { formatDuration } from "../../runtime/recipe/duration.ts";
import {
  describeBuild,
  describeBytes,
  describeRollout,
  remainingMs,
  TARGET_MS,
  totalsOf,
} from "./describe.ts";
import type { Progress } from "./progress.ts";

const BAR_FORMAT = "  {region} [{bar}] {percentage}%  {counts}";
const TEXT_FORMAT = "  {text}";

/** Bars that are redrawn in place. */
export class TerminalProgress implements Progress {
  #bars: MultiBar | undefined;
  readonly #regions = new Map<string, SingleBar>();
  #footer: SingleBar | undefined;
  #lastBuild = "";
  #lastHead = "";

  build(build: Build): void {
    const line = describeBuild(build);
    if (line === this.#lastBuild) return;
    this.#lastBuild = line;
    this.#line(line);
  }

  rollout(rollout: Rollout): void {
    const head = `${rollout.id} ${rollout.state} ${rollout.wave} ${rollout.paused}`;
    if (head !== this.#lastHead) {
      this.#lastHead = head;
      this.#line(describeRollout(rollout));
    }
    for (const region of rollout.regions) this.#region(region);
    this.#foot(rollout);
    if (rollout.endedAtMs !== 0) this.end();
  }

  say(text: string): void {
    this.#line(text);
  }

  end(): void {
    this.#bars?.stop();
    this.#bars = undefined;
    this.#footer = undefined;
    this.#regions.clear();
  }

  #line(text: string): void {
    if (this.#bars === undefined) console.log(text);
    else this.#bars.log(`${text}\n`);
  }

  #region(region: RegionProgress): void {
    const bytes = region.bytes;
    const got = bytes === undefined ? 0 : bytes.origin + bytes.relay + bytes.peer + bytes.local;
    const needed = Math.max(1, got + region.missingBytes);
    const hasAll = region.matching > 0 && region.staged + region.active >= region.matching;
    const counts =
      `${region.matching} machines: ${region.fetching} fetching, ${region.staged} staged, ` +
      `${region.active} active, ${region.failed} failed`;
    const payload = { region: region.region.padEnd(12), counts };
    const value = hasAll ? needed : got;
    const bar = this.#regions.get(region.region);
    if (bar === undefined) {
      const made = this.#multi().create(needed, value, payload, { format: BAR_FORMAT });
      this.#regions.set(region.region, made);
      // The footer stays below all regions.
      if (this.#footer !== undefined) this.#bars?.remove(this.#footer);
      this.#footer = undefined;
    } else {
      bar.setTotal(needed);
      bar.update(value, payload);
    }
  }

  #foot(rollout: Rollout): void {
    const totals = totalsOf(rollout);
    const elapsedMs = Date.now() - rollout.createdAtMs;
    const leftMs = remainingMs(totals, elapsedMs);
    const eta = leftMs === undefined ? "" : `, bytes there in ${formatDuration(leftMs)}`;
    const clock = `${formatDuration(elapsedMs)} of ${formatDuration(TARGET_MS)}${eta}`;
    const text = `${describeBytes(totals.bytes)}; ${clock}`;
    this.#footer ??= this.#multi().create(1, 0, { text }, { format: TEXT_FORMAT });
    this.#footer.update(0, { text });
  }

  #multi(): MultiBar {
    this.#bars ??= new MultiBar({
      barCompleteChar: "█",
      barIncompleteChar: "░",
      barsize: 28,
      hideCursor: true,
      forceRedraw: true,
      stopOnComplete: false,
      clearOnComplete: false,
      linewrap: false,
      gracefulExit: false,
    });
    return this.#bars;
  }
}
