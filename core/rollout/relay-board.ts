// The relays of a rollout as they are now: who is connected, who is missed, who has caught up with the
// leader's last word. Agents of a lost relay move to another or come back to it, so a loss is waited for,
// but not for ever.
import type { Instant } from "../machine.ts";
import type { RelayView, Tally } from "./tally.ts";

/** Agents of a lost relay are back with another in seconds; after this they count as offline. */
const MISSED_MS = 20_000;

/** Relays report every two seconds where nothing changes; what a silent one said last is not news. */
const SILENT_MS = 15_000;

/** A relay that connects, as the leader is told of it. */
export interface Arrival {
  readonly relay: string;
  readonly region: string;
  readonly boot: string;
  readonly settleMs: number;
}

export class RelayBoard {
  readonly #epoch: number;
  readonly #online = new Map<string, RelayView>();
  /** Relays that are not connected: until when they are waited for, and machines they had. */
  readonly #missed = new Map<
    string,
    { readonly until: Instant; readonly had: number | undefined }
  >();
  #machinesMost = 0;

  constructor(epoch: number) {
    this.#epoch = epoch;
  }

  get online(): readonly RelayView[] {
    return [...this.#online.values()];
  }

  get(relay: string): RelayView | undefined {
    return this.#online.get(relay);
  }

  await(at: Instant, relays: readonly string[]): void {
    for (const relay of relays) {
      if (this.#online.has(relay)) continue;
      this.#missed.set(relay, { until: at + MISSED_MS, had: undefined });
    }
  }

  joined(at: Instant, { relay, region, boot, settleMs }: Arrival): void {
    const had = this.#missed.get(relay)?.had;
    this.#missed.delete(relay);
    this.#online.set(relay, {
      relay,
      region,
      boot,
      joinedAt: at,
      settlesAt: at + settleMs,
      had,
      heardAt: at,
      tally: undefined,
    });
  }

  lost(at: Instant, relay: string): void {
    const view = this.#online.get(relay);
    if (view === undefined) return;
    this.#online.delete(relay);
    const had = isWhole(at, view) ? (view.tally?.matching ?? view.had) : view.had;
    this.#missed.set(relay, { until: at + MISSED_MS, had });
    this.#countAll();
  }

  /** Takes a relay's sums; those under an older leader's assignment say nothing. */
  reported(at: Instant, relay: string, tally: Tally): RelayView | undefined {
    const view = this.#online.get(relay);
    if (view === undefined || tally.epoch !== this.#epoch) return undefined;
    const isFirst = view.tally === undefined;
    view.tally = tally;
    view.heardAt = at;
    if (isFirst) this.#countAll();
    return view;
  }

  #countAll(): void {
    const away = [...this.#missed.values()].reduce((sum, { had }) => sum + (had ?? 0), 0);
    if (this.isAnyAway) this.#machinesMost = Math.max(this.#machinesMost, this.machines + away);
  }

  /** Whether some relay is away that may come back, or is back before its agents. */
  isMissingAny(at: Instant): boolean {
    return (
      [...this.#missed.values()].some(({ until }) => until > at) ||
      this.online.some((view) => !isWhole(at, view))
    );
  }

  /** Machines counted now. */
  get machines(): number {
    return this.online.reduce((sum, { tally }) => sum + (tally?.matching ?? 0), 0);
  }

  /** Machines known when a relay was lost or came: so many must be counted to say that all are. */
  get machinesMost(): number {
    return this.#machinesMost;
  }

  /** Relays among these that are away, and whose machines were never counted whole under this leader. */
  uncounted(relays: readonly string[]): readonly string[] {
    return relays.filter((relay) => {
      const missed = this.#missed.get(relay);
      return missed !== undefined && missed.had === undefined;
    });
  }

  /** Whether some relay is away, however long. */
  get isAnyAway(): boolean {
    return this.#missed.size > 0;
  }

  /** Relays that have got the assignment of this revision and still speak. */
  caughtUp(at: Instant, revision: number): readonly RelayView[] {
    return this.online.filter(
      ({ tally, heardAt }) =>
        tally !== undefined && tally.revision >= revision && at < heardAt + SILENT_MS,
    );
  }
}

/** Whether what a relay counts are all its machines. */
function isWhole(at: Instant, { settlesAt, had, tally }: RelayView): boolean {
  return at >= settlesAt || (had !== undefined && tally !== undefined && tally.matching >= had);
}
