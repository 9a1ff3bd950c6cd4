// A digest of all facts that the machines of a fleet took, in their order and with their times: two runs of one
// seed that differ anywhere differ in it.
import type { Trace } from "./process.ts";

const NUMBERS = new Float64Array(1);
const HALVES = new Uint32Array(NUMBERS.buffer);

export class FleetTrace implements Trace {
  #high = 0x811c9dc5;
  #low = 0x2545f491;
  #count = 0;
  /** Called with every fact; for who looks for the cause of a violation. */
  tell: ((who: string, what: string, now: number) => void) | undefined;

  /** Facts so far. */
  get count(): number {
    return this.#count;
  }

  /** The digest so far, 16 hexadecimal digits. */
  get text(): string {
    return [this.#high, this.#low].map((half) => half.toString(16).padStart(8, "0")).join("");
  }

  note(who: string, what: string, now: number): void {
    this.#count += 1;
    this.tell?.(who, what, now);
    NUMBERS[0] = now;
    this.#mix(HALVES[0] ?? 0);
    this.#mix(HALVES[1] ?? 0);
    for (let at = 0; at < who.length; at += 1) this.#mix(who.charCodeAt(at));
    this.#mix(what.length * 31 + what.charCodeAt(0));
  }

  #mix(value: number): void {
    this.#high = Math.imul(this.#high ^ value, 0x01000193) >>> 0;
    this.#low = Math.imul((this.#low ^ this.#high) + value, 0x9e3779b1) >>> 0;
  }
}
