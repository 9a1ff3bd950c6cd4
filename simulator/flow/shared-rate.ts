// A way that several transfers share evenly in virtual time, as TCP connections do: each gets the same part
// of the rate while it lasts.
import type { FlowClock } from "./flow-clock.ts";

/** Less than this is nothing: rounding of times. */
const BYTES_LEFT_MIN = 1;

interface Transfer {
  leftBytes: number;
  readonly done: () => void;
  readonly broken: (leftBytes: number) => void;
}

export class SharedRate {
  readonly #clock: FlowClock;
  /** Bytes a millisecond. */
  #rate: number;
  readonly #transfers = new Set<Transfer>();
  #since = 0;
  #turn = 0;

  constructor(clock: FlowClock, rate: number) {
    this.#clock = clock;
    this.#rate = rate;
  }

  /** What passes now, bytes a millisecond. */
  get bytesPerMs(): number {
    return this.#transfers.size === 0 ? 0 : this.#rate;
  }

  /** Calls back when so many bytes have passed, or how many are left where it breaks before. */
  add(bytes: number, done: () => void, broken: (leftBytes: number) => void = () => {}): void {
    this.#advance();
    this.#transfers.add({ leftBytes: bytes, done, broken });
    this.#arm();
  }

  /** All transfers break. */
  break(): void {
    this.#advance();
    const transfers = [...this.#transfers];
    this.#transfers.clear();
    this.#arm();
    for (const { leftBytes, broken } of transfers) broken(Math.max(0, leftBytes));
  }

  /** It carries another rate from now on; 0: nothing. */
  change(rate: number): void {
    this.#advance();
    this.#rate = rate;
    this.#arm();
  }

  #advance(): void {
    const { now } = this.#clock;
    const each = ((now - this.#since) * this.#rate) / Math.max(1, this.#transfers.size);
    this.#since = now;
    for (const transfer of this.#transfers) transfer.leftBytes -= each;
  }

  #arm(): void {
    this.#turn += 1;
    if (this.#transfers.size === 0 || this.#rate === 0) return;
    const turn = this.#turn;
    const least = Math.min(...[...this.#transfers].map(({ leftBytes }) => leftBytes));
    this.#clock.in((Math.max(0, least) * this.#transfers.size) / this.#rate, () => {
      if (turn === this.#turn) this.#finish();
    });
  }

  #finish(): void {
    this.#advance();
    for (const transfer of [...this.#transfers]) {
      if (transfer.leftBytes > BYTES_LEFT_MIN) continue;
      this.#transfers.delete(transfer);
      transfer.done();
    }
    this.#arm();
  }
}
