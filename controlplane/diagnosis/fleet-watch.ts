// What a diagnosis has to remember of relays between two reports: when each spoke last, its clock and its disk, and
// how many machines a region had in the last minutes. For people to see; nothing is decided by it.
import type { DiskFacts } from "../../core/diagnosis/facts.ts";
import { RecentPeak } from "../../core/diagnosis/recent-peak.ts";
import type { Instant } from "../../core/machine.ts";
import type { RelayReport } from "../../proto/gen/millrace/v1/fleet.ts";
import type { RelayHub, RelayListener, RelaySession } from "../fleet/relay-hub.ts";

/** What a relay said last, and when by both clocks. */
interface LastReport {
  readonly at: Instant;
  readonly clockAheadMs: number | undefined;
  readonly disk: DiskFacts | undefined;
}

export class FleetWatch implements RelayListener {
  readonly #hub: RelayHub;
  readonly #now: () => Instant;
  readonly #reports = new Map<string, LastReport>();
  readonly #peaks = new Map<string, RecentPeak>();

  constructor(hub: RelayHub, now: () => Instant) {
    this.#hub = hub;
    this.#now = now;
    hub.listen(this);
  }

  /** What the relay said last on this stream; undefined: nothing yet. */
  last(relay: string): LastReport | undefined {
    return this.#reports.get(relay);
  }

  /** The most machines of the last minutes. */
  peak(region: string): number {
    return this.#peaks.get(region)?.at(this.#now()) ?? 0;
  }

  relayJoined({ relay }: RelaySession): void {
    // One that says nothing at all is silent from now on.
    this.#reports.set(relay, { at: this.#now(), clockAheadMs: undefined, disk: undefined });
  }

  relayLost({ relay }: RelaySession): void {
    this.#reports.delete(relay);
  }

  relayReported({ relay, region }: RelaySession, report: RelayReport): void {
    const { clockMs, diskBytes, diskFreeBytes } = report;
    const isKnown = diskBytes > 0;
    this.#reports.set(relay, {
      at: this.#now(),
      clockAheadMs: clockMs === 0 ? undefined : clockMs - Date.now(),
      disk: isKnown
        ? { owner: `relay ${relay}`, bytes: diskBytes, freeBytes: diskFreeBytes }
        : undefined,
    });
    const peak = this.#peaks.get(region) ?? new RecentPeak();
    this.#peaks.set(region, peak);
    const agents = this.#hub.sessions
      .filter((session) => session.region === region)
      .reduce((sum, session) => sum + session.agents, 0);
    peak.note(this.#now(), agents);
  }

  censusAnswered(): void {}
}
