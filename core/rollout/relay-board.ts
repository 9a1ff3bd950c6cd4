// The relays of a rollout as they are now: who is connected, who is missed, who has caught up with the
// leader's last word. Agents of a lost relay move to another, so a loss is waited for, but not for ever.
import type { Instant } from "../machine.ts";
import type { RelayView, Tally } from "./tally.ts";

/** Agents of a lost relay are back with another in seconds; after this they count as offline. */
const MISSED_MS = 20_000;

export class RelayBoard {
  readonly #epoch: number;
  readonly #online = new Map<string, RelayView>();
  /** Relays that are not connected, and until when they are waited for. */
  readonly #missed = new Map<string, Instant>();

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
      if (!this.#online.has(relay)) this.#missed.set(relay, at + MISSED_MS);
    }
  }

  joined(relay: string, region: string, boot: string): void {
    this.#missed.delete(relay);
    this.#online.set(relay, { relay, region, boot, tally: undefined });
  }

  lost(at: Instant, relay: string): void {
    if (this.#online.delete(relay)) this.#missed.set(relay, at + MISSED_MS);
  }

  /** Takes a relay's sums; those under an older leader's assignment say nothing. */
  reported(relay: string, tally: Tally): RelayView | undefined {
    const view = this.#online.get(relay);
    if (view === undefined || tally.epoch !== this.#epoch) return undefined;
    view.tally = tally;
    return view;
  }

  /** Whether some relay is away that may come back, or whose agents may. */
  isMissingAny(at: Instant): boolean {
    for (const [relay, until] of this.#missed) if (until <= at) this.#missed.delete(relay);
    return this.#missed.size > 0;
  }

  /** Relays that have said something since they got the assignment of this revision. */
  caughtUp(revision: number): readonly RelayView[] {
    return this.online.filter(({ tally }) => tally !== undefined && tally.revision >= revision);
  }
}
