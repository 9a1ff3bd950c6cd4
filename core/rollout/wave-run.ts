// One wave on its way: from its drawing over its permits to its gate. It changes no state of the
// rollout; it says what is known, and the rollout decides.
import type { Instant } from "../machine.ts";
import { type Gate, judge } from "./gate.ts";
import { type Grant, PermitBook, type Room, type Want } from "./permits.ts";
import type { RelayBoard } from "./relay-board.ts";
import type { RolloutPlan, RolloutRow, WaveRow } from "./rollout-row.ts";
import { isSettled } from "./settling.ts";
import { type RelayView, type Totals, totalsOf, unservedOf, waveTallyOf } from "./tally.ts";
import { WaveDraw } from "./wave-draw.ts";

/** A relay that says nothing for so long after a wave was announced does not hold up the others. */
const READY_MS_MAX = 5_000;

export class WaveRun {
  readonly #plan: RolloutPlan;
  readonly #index: number;
  readonly #board: RelayBoard;
  readonly #permits: PermitBook;
  readonly draw: WaveDraw;
  #revision = Number.POSITIVE_INFINITY;
  #announcedAt: Instant = Number.POSITIVE_INFINITY;

  /** Goes on where the row stands; `query` numbers its questions. */
  constructor(
    plan: RolloutPlan,
    row: RolloutRow,
    board: RelayBoard,
    from: { readonly epoch: number; readonly at: Instant; readonly query: number },
  ) {
    this.#plan = plan;
    this.#index = row.wave;
    this.#board = board;
    this.draw = new WaveDraw(this.#percent, from.query);
    this.#permits = new PermitBook(from.epoch, plan.answerMs, { ...row, at: from.at });
  }

  get #percent(): number {
    return this.#plan.waves[this.#index]?.percent ?? 100;
  }

  get permits(): PermitBook {
    return this.#permits;
  }

  /** The assignment that holds the wave's rule is on its way. */
  announced(at: Instant, revision: number): void {
    this.#revision = revision;
    this.#announcedAt = at;
  }

  /** Another assignment is being made; relays have to catch up with it. */
  unannounced(): void {
    this.#revision = Number.POSITIVE_INFINITY;
    this.#announcedAt = Number.POSITIVE_INFINITY;
  }

  heard(at: Instant, view: RelayView): void {
    const { relay, boot, tally } = view;
    const counts = tally && waveTallyOf(tally, this.#index);
    if (tally === undefined || counts === undefined) return;
    this.#permits.heard(at, { relay, boot, isClosed: tally.isClosed }, counts);
  }

  /** Whether every relay that is connected has counted the wave, and none is missed. */
  isWholeKnown(at: Instant): boolean {
    const { online } = this.#board;
    return (
      online.length > 0 && !this.#board.isMissingAny(at) && this.#known(at).length === online.length
    );
  }

  /** The wave with what holds from its first permit on; undefined: relays have not counted it yet. */
  planned(at: Instant, wave: WaveRow, failedBefore: number): WaveRow | undefined {
    if (wave.planned !== undefined) return wave;
    const known = this.#known(at);
    const isLate = ({ joinedAt }: RelayView): boolean =>
      at >= Math.max(joinedAt, this.#announcedAt) + READY_MS_MAX;
    const isReady = this.#board.online.every((view) => known.includes(view) || isLate(view));
    if (!isReady || known.length === 0 || this.#board.isMissingAny(at)) return undefined;
    const totals = totalsOf(known, this.#index);
    if (!this.#isSettled(at, totals)) return undefined;
    const planned = Math.max(0, wave.size - totals.healthy - failedBefore);
    return { ...wave, planned, matching: totals.matching, activeBefore: totals.active };
  }

  /** What is known of the wave now. */
  judge(at: Instant, known: WaveRow, failedBefore: number): { gate: Gate; wave: WaveRow } {
    const totals = totalsOf(this.#board.online, this.#index);
    const percent = this.#percent;
    const isCounted = percent >= 100 && this.#isSettled(at, totals);
    const late = isCounted ? Math.max(0, totals.members - known.size) : 0;
    const planned = (known.planned ?? 0) + late;
    const wave = { ...known, size: known.size + late, planned };
    const permits = this.#permits.count(at, Math.max(0, totals.active - wave.activeBefore));
    const plan = this.#plan;
    const gate = judge({ plan, percent, wave, planned, permits, totals, failedBefore });
    const permitted = permits.succeeded + permits.failed + permits.out;
    return { gate, wave: { ...wave, permitted, healthy: totals.healthy, failed: gate.failed } };
  }

  /** Grants permits to relays with machines of the wave that would take them, as far as there is room. */
  grants(at: Instant, room: Room): readonly Grant[] {
    const wants: Want[] = this.#known(at).flatMap(({ relay, boot, tally }) => {
      const counts = tally && waveTallyOf(tally, this.#index);
      if (tally === undefined || counts === undefined || tally.isClosed) return [];
      // Beyond the wave others are staged too; and who has failed is in it, and gets no other permit.
      const waiting = tally.staged + (tally.early ?? 0);
      const machines = Math.min(waiting, unservedOf(tally, counts));
      return machines > 0 ? [{ relay, boot, machines }] : [];
    });
    return this.#permits.allot(at, wants, room);
  }

  #isSettled(at: Instant, { away, matching: total }: Totals): boolean {
    return isSettled({ away, total }, at, this.#announcedAt);
  }

  #known(at: Instant): readonly RelayView[] {
    return this.#board
      .caughtUp(at, this.#revision)
      .filter(({ tally }) => tally && waveTallyOf(tally, this.#index) !== undefined);
  }
}
