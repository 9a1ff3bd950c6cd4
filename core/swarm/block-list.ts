// Lists of blocks that are asked, queued or on their way: a few for each neighbour, with few entries, which change
// with each block. All of a machine lie in one array of numbers, where what was freed last is taken first: an
// object and a list for each would be places in memory that nobody has looked at for a while.
import type { Instant } from "../machine.ts";
import type { Block } from "./message.ts";

/** Numbers of an entry, side by side. */
const NUMBERS = 5;
const PIECE = 0;
const OFFSET = 1;
const BYTES = 2;
/** Since when it is in the list, or whatever orders it. */
const AT = 3;
/** The entry behind it in its list, or of those that are free. */
const NEXT = 4;
/** No entry. */
const NONE = -1;
/** Entries that there is room for at first: what a usual peer has under way. */
const ROOM_MIN = 32;

/** Room for the entries of all lists of a machine. */
export class BlockPool {
  numbers = new Float64Array(NUMBERS * ROOM_MIN);
  #free = NONE;
  #used = 0;

  /** Where the numbers of a new entry are. */
  allot(): number {
    const entry = this.#free;
    if (entry === NONE) return this.#unused();
    this.#free = this.numbers[entry + NEXT] as number;
    return entry;
  }

  free(entry: number): void {
    this.numbers[entry + NEXT] = this.#free;
    this.#free = entry;
  }

  #unused(): number {
    const entry = this.#used;
    this.#used += NUMBERS;
    if (this.#used > this.numbers.length) {
      const grown = new Float64Array(2 * this.numbers.length);
      grown.set(this.numbers);
      this.numbers = grown;
    }
    return entry;
  }
}

/** Blocks in the order in which they were added, each with an instant. */
export class BlockList {
  readonly #pool: BlockPool;
  #first = NONE;
  #last = NONE;
  #length = 0;

  constructor(pool: BlockPool) {
    this.#pool = pool;
  }

  get length(): number {
    return this.#length;
  }

  /** Of the first entry; there has to be one. */
  get first(): Block {
    const { numbers } = this.#pool;
    const entry = this.#first;
    return {
      piece: numbers[entry + PIECE] as number,
      offset: numbers[entry + OFFSET] as number,
      bytes: numbers[entry + BYTES] as number,
    };
  }

  /** Instant of the first entry; Infinity: there is none. */
  get firstAt(): Instant {
    if (this.#first === NONE) return Number.POSITIVE_INFINITY;
    return this.#pool.numbers[this.#first + AT] as number;
  }

  /** Bytes of the first entry; there has to be one. */
  get firstBytes(): number {
    return this.#pool.numbers[this.#first + BYTES] as number;
  }

  /** Bytes of all entries. */
  get bytes(): number {
    const { numbers } = this.#pool;
    let sum = 0;
    for (let entry = this.#first; entry !== NONE; entry = numbers[entry + NEXT] as number) {
      sum += numbers[entry + BYTES] as number;
    }
    return sum;
  }

  push(piece: number, offset: number, bytes: number, at: Instant): void {
    const entry = this.#pool.allot();
    const { numbers } = this.#pool;
    numbers[entry + PIECE] = piece;
    numbers[entry + OFFSET] = offset;
    numbers[entry + BYTES] = bytes;
    numbers[entry + AT] = at;
    this.#append(entry);
  }

  /** Takes out the first entry; there has to be one. */
  shift(): void {
    const entry = this.#first;
    this.#unlink(entry, NONE);
    this.#pool.free(entry);
  }

  /** Takes out the first entry of a block; returns its instant, undefined when there is none. */
  take({ piece, offset, bytes }: Block): Instant | undefined {
    const { numbers } = this.#pool;
    let before = NONE;
    for (let entry = this.#first; entry !== NONE; entry = numbers[entry + NEXT] as number) {
      const isSame = numbers[entry + PIECE] === piece && numbers[entry + OFFSET] === offset;
      if (isSame && numbers[entry + BYTES] === bytes) {
        const at = numbers[entry + AT] as number;
        this.#unlink(entry, before);
        this.#pool.free(entry);
        return at;
      }
      before = entry;
    }
    return undefined;
  }

  /** Takes out all entries of a piece, into another list of the machine if one is given; returns how many. */
  takePiece(piece: number, into?: BlockList): number {
    const { numbers } = this.#pool;
    const { length } = this;
    let before = NONE;
    for (let entry = this.#first; entry !== NONE; ) {
      const next = numbers[entry + NEXT] as number;
      if (numbers[entry + PIECE] !== piece) before = entry;
      else {
        this.#unlink(entry, before);
        if (into === undefined) this.#pool.free(entry);
        else into.#append(entry);
      }
      entry = next;
    }
    return length - this.#length;
  }

  /** All entries are so much later. */
  delay(ms: number): void {
    const { numbers } = this.#pool;
    for (let entry = this.#first; entry !== NONE; entry = numbers[entry + NEXT] as number) {
      numbers[entry + AT] = (numbers[entry + AT] as number) + ms;
    }
  }

  clear(): void {
    while (this.#length > 0) this.shift();
  }

  #append(entry: number): void {
    const { numbers } = this.#pool;
    numbers[entry + NEXT] = NONE;
    if (this.#last === NONE) this.#first = entry;
    else numbers[this.#last + NEXT] = entry;
    this.#last = entry;
    this.#length += 1;
  }

  /** `before` is the entry before it; NONE: it is the first. */
  #unlink(entry: number, before: number): void {
    const { numbers } = this.#pool;
    const next = numbers[entry + NEXT] as number;
    if (before === NONE) this.#first = next;
    else numbers[before + NEXT] = next;
    if (next === NONE) this.#last = before;
    this.#length -= 1;
  }
}
