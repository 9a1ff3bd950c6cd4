// Looks at the leader of a load run twice a second: memory and processor by the kernel's account, open streams, writes
// and reports by its metrics.
import { processUsage } from "../../runtime/program/process-usage.ts";
import { readMetric } from "../../runtime/program/read-metric.ts";

const LOOK_MS = 500;
/** Rates are over so long at least: relays report once a second. */
const RATE_MS = 2_000;

interface Look {
  readonly atMs: number;
  readonly cpuS: number;
  readonly writes: number;
  readonly reports: number;
}

/** What a leader did from one moment to another. */
export interface LeaderShare {
  readonly seconds: number;
  /** Of one processor. */
  readonly cpu: number;
  readonly writesPerS: number;
  readonly reportsPerS: number;
}

export class LeaderWatch {
  readonly #pid: number;
  readonly #metricsPort: number;
  readonly #looks: Look[] = [];
  readonly #timer: NodeJS.Timeout;
  /** Most that were seen; calls and streams since `forget`. */
  streamsMost = 0;
  reportsPerSMost = 0;

  constructor(pid: number, metricsPort: number) {
    this.#pid = pid;
    this.#metricsPort = metricsPort;
    this.#timer = setInterval(() => void this.#look().catch(() => {}), LOOK_MS);
  }

  /** Most memory that it held, bytes. */
  get rssBytesMost(): number {
    return processUsage(this.#pid)?.rssBytesMost ?? 0;
  }

  /** Begins to count; the answer ends it. */
  async share(): Promise<() => Promise<LeaderShare>> {
    const from = await this.#look();
    return async () => {
      const to = await this.#look();
      const seconds = (to.atMs - from.atMs) / 1_000;
      return {
        seconds,
        cpu: (to.cpuS - from.cpuS) / seconds,
        writesPerS: (to.writes - from.writes) / seconds,
        reportsPerS: (to.reports - from.reports) / seconds,
      };
    };
  }

  /** Gives the most calls and streams so far, and begins anew. */
  forget(): number {
    const most = this.streamsMost;
    this.streamsMost = 0;
    return most;
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  async #look(): Promise<Look> {
    const read = (name: string): Promise<number> => readMetric(this.#metricsPort, name);
    const [streams, writes, reports] = await Promise.all([
      read("millrace_calls"),
      read("millrace_store_writes"),
      read("millrace_reports"),
    ]);
    const cpuS = processUsage(this.#pid)?.cpuS ?? 0;
    const look = { atMs: performance.now(), cpuS, writes, reports };
    this.streamsMost = Math.max(this.streamsMost, streams);
    const before = this.#looks.findLast(({ atMs }) => atMs <= look.atMs - RATE_MS);
    if (before !== undefined) {
      const seconds = (look.atMs - before.atMs) / 1_000;
      const rate = (look.reports - before.reports) / seconds;
      this.reportsPerSMost = Math.max(this.reportsPerSMost, rate);
    }
    this.#looks.push(look);
    if (this.#looks.length > (4 * RATE_MS) / LOOK_MS) this.#looks.shift();
    return look;
  }
}
