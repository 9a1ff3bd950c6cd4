// A rollout's row as it changes, and the commands that write it down and tell the fleet. It knows which
// state may follow which, and nothing of why.
import { mayFollow } from "./lifecycle.ts";
import type { PermitBook } from "./permits.ts";
import type { AssignPhase, RolloutEffect } from "./rollout-facts.ts";
import {
  NOTHING_SETTLED,
  type RolloutPlan,
  type RolloutRow,
  type RolloutState,
  type WavePlan,
  type WaveRow,
} from "./rollout-row.ts";

const NO_PERMITS = { ledgers: [], settled: NOTHING_SETTLED } as const;

export class RolloutBook {
  readonly #plan: RolloutPlan;
  #row: RolloutRow;
  #serial = 0;
  #revision = Number.POSITIVE_INFINITY;

  constructor(plan: RolloutPlan, row: RolloutRow) {
    this.#plan = plan;
    this.#row = row;
  }

  get row(): RolloutRow {
    return this.#row;
  }

  /** Store revision of the last assignment; Infinity until it is committed. */
  get revision(): number {
    return this.#revision;
  }

  /** The current wave as asked for. */
  get wavePlan(): WavePlan {
    return this.#plan.waves[this.#row.wave] as WavePlan;
  }

  /** The current wave as drawn; undefined: it is not yet. */
  get wave(): WaveRow | undefined {
    return this.#row.waves[this.#row.wave];
  }

  /** Machines that failed in the waves before the current one. */
  get failedBefore(): number {
    return this.#row.waves.slice(0, this.#row.wave).reduce((sum, { failed }) => sum + failed, 0);
  }

  /** Whether some machine may have had a permit. */
  get wasTouched(): boolean {
    return this.#row.waves.some(({ planned }) => planned !== undefined);
  }

  /** Whether the current wave is for everybody and none before it had a machine. */
  get isForFirstMachine(): boolean {
    const { regions, labels } = this.wavePlan;
    const isForAll = regions.length === 0 && Object.keys(labels).length === 0;
    return isForAll && this.#row.waves.every(({ size }) => size === 0);
  }

  /** Changes what is no state; in memory only. */
  change(change: Partial<Pick<RolloutRow, "paused" | "reason" | "message">>): void {
    this.#row = { ...this.#row, ...change };
  }

  /** Changes the state; in memory only. */
  move(state: RolloutState): void {
    const from = this.#row.state;
    if (!mayFollow(from, state)) throw new Error(`a rollout cannot go from ${from} to ${state}`);
    this.#row = { ...this.#row, state };
  }

  /** Goes on to a wave, without permits yet; in memory only. */
  beginWave(wave: number): void {
    this.#row = { ...this.#row, ...NO_PERMITS, wave };
  }

  /** Notes the current wave as it stands; in memory only. */
  note(wave: WaveRow): void {
    this.#row = { ...this.#row, waves: this.#row.waves.toSpliced(this.#row.wave, 1, wave) };
  }

  /** No permit is valid any more; in memory only. */
  dropPermits(): void {
    this.#row = { ...this.#row, ...NO_PERMITS };
  }

  persist(permits: PermitBook | undefined, effects: RolloutEffect[]): void {
    if (permits !== undefined) {
      const { ledgers, settled } = permits;
      const relays = new Set([...this.#row.permittedRelays, ...ledgers.map(({ relay }) => relay)]);
      this.#row = { ...this.#row, ledgers, settled, permittedRelays: [...relays] };
    }
    effects.push({ kind: "persist", row: this.#row });
  }

  assign(phase: AssignPhase, effects: RolloutEffect[]): void {
    this.#serial += 1;
    this.#revision = Number.POSITIVE_INFINITY;
    effects.push({ kind: "assign", phase, serial: this.#serial });
  }

  /** An assignment is committed; false: it is not the last one. */
  assigned(serial: number, revision: number): boolean {
    if (serial !== this.#serial) return false;
    this.#revision = revision;
    return true;
  }

  end(
    state: RolloutState,
    why: { readonly reason: string; readonly message: string },
    assign: AssignPhase | undefined,
    effects: RolloutEffect[],
  ): void {
    this.move(state);
    this.dropPermits();
    this.change({ ...why, paused: false });
    this.persist(undefined, effects);
    if (assign !== undefined) this.assign(assign, effects);
    effects.push({ kind: "ended", state });
  }
}
