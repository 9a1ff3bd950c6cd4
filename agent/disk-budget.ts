// Keeps a machine within its disk budget: asks its services and its shelf what they hold, has them let go of what
// core/fleet/disk-budget.ts names, and says it where the needed things alone are too much.
import { type HeldRelease, planDisk } from "../core/fleet/disk-budget.ts";
import type { Log } from "../runtime/log.ts";
import { formatBytes } from "../runtime/program/byte-amount.ts";
import { gauge } from "../runtime/telemetry.ts";
import type { PackShelf } from "./swarm/pack-shelf.ts";

/** Between two looks, beside those at every change of a service. */
const LOOK_MS = 5_000;

/** A service as far as its disk goes. */
export interface DiskUser {
  held(): HeldRelease[];
  evict(releases: readonly string[]): void;
}

export interface DiskBudgetOptions {
  /** 0: no limit. */
  readonly budgetBytes: number;
  readonly shelf: PackShelf;
  readonly services: () => Iterable<DiskUser>;
  readonly log: Log;
  /** What is said of the budget is otherwise than before. */
  readonly onChange: () => void;
}

export class DiskBudget {
  readonly #options: DiskBudgetOptions;
  readonly #timer: NodeJS.Timeout | undefined;
  #overBytes = 0;

  constructor(options: DiskBudgetOptions) {
    this.#options = options;
    if (options.budgetBytes === 0) return;
    this.#timer = setInterval(() => this.look(), LOOK_MS);
    const over = (): number => this.#overBytes;
    gauge("millrace.agent.disk_over", "Bytes that are needed beyond the disk budget", over, "By");
  }

  /** What is wrong, for people; empty: nothing. */
  get trouble(): string {
    if (this.#overBytes === 0) return "";
    return (
      `what is needed takes ${formatBytes(this.#overBytes)} more than the disk budget of ` +
      `${formatBytes(this.#options.budgetBytes)}: raise --disk-budget, or run less here`
    );
  }

  /** Looks at once, and lets go of what is too much. */
  look(): void {
    const { budgetBytes, shelf, services, log, onChange } = this.#options;
    if (budgetBytes === 0) return;
    const users = [...services()].map((user) => ({ user, held: user.held() }));
    const releases = users.flatMap(({ held }) => held);
    const { fetchingBytes, cachedBytes } = shelf.bytes;
    const plan = planDisk({ releases, fetchingBytes }, cachedBytes, budgetBytes);
    shelf.limit(plan.cacheBytesMax);
    for (const { user, held } of users) {
      const evicted = held.filter((one) => plan.evicted.includes(one));
      if (evicted.length === 0) continue;
      log.info({ releases: evicted }, "releases that nothing runs make room");
      user.evict(evicted.map(({ release }) => release));
    }
    const wasOver = this.#overBytes > 0;
    this.#overBytes = plan.overBytes;
    if (wasOver === plan.overBytes > 0) return;
    if (plan.overBytes > 0) log.error({ overBytes: plan.overBytes, budgetBytes }, this.trouble);
    else log.info({ budgetBytes }, "within the disk budget again");
    onChange();
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}
