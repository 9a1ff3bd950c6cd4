// A digest of all facts of a run in their order: two runs of one seed that differ anywhere differ in it.
import type { Instant } from "../core/machine.ts";
import type { SwarmInput } from "../core/swarm/facts.ts";

const NUMBERS = new Float64Array(1);
const HALVES = new Uint32Array(NUMBERS.buffer);

export class TraceHash {
  #high = 0x811c9dc5;
  #low = 0x2545f491;

  /** The digest so far, 16 hexadecimal digits. */
  get text(): string {
    return [this.#high, this.#low].map((half) => half.toString(16).padStart(8, "0")).join("");
  }

  /** Notes that a machine took a fact. */
  note(machine: number, input: SwarmInput, now: Instant): void {
    NUMBERS[0] = now;
    this.#mix(HALVES[0] ?? 0);
    this.#mix(HALVES[1] ?? 0);
    this.#mix(machine);
    this.#mix(Math.imul(input.kind.length, 31) + input.kind.charCodeAt(0));
    if (input.kind !== "received") return;
    const { message } = input;
    this.#mix(message.kind.charCodeAt(0));
    switch (message.kind) {
      case "bitfield":
      case "have":
      case "offer":
      case "got":
        return;
      default:
        this.#mix(message.piece);
    }
  }

  /** Notes numbers, whatever they mean. */
  noteNumbers(values: readonly number[]): void {
    for (const value of values) {
      NUMBERS[0] = value;
      this.#mix(HALVES[0] ?? 0);
      this.#mix(HALVES[1] ?? 0);
    }
  }

  /** Notes a text, as another digest. */
  noteText(text: string): void {
    for (let at = 0; at < text.length; at += 1) this.#mix(text.charCodeAt(at));
  }

  /** Notes that a machine of a fleet took a fact. */
  noteFact(machine: number, kind: string, now: Instant): void {
    NUMBERS[0] = now;
    this.#mix(HALVES[0] ?? 0);
    this.#mix(HALVES[1] ?? 0);
    this.#mix(machine);
    this.#mix(Math.imul(kind.length, 31) + kind.charCodeAt(0));
  }

  #mix(value: number): void {
    this.#high = Math.imul(this.#high ^ value, 0x01000193) >>> 0;
    this.#low = Math.imul((this.#low ^ this.#high) + value, 0x9e3779b1) >>> 0;
  }
}
