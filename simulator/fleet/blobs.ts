// A blob store as a model: what was put is there once and whole, whatever its caller heard of it. It can be away,
// refuse, be slow, or lose answers.
import type { Ground } from "./process.ts";

/** How a blob store is at this moment. */
export interface BlobWeather {
  /** It refuses everything: 503, or a region that is cut off. */
  isAway: boolean;
  /** Share of the puts that are stored and answered by a time-out. */
  lostPutShare: number;
  /** Share of the puts that break half-way: nothing is stored. */
  brokenPutShare: number;
  /** Every call takes so much longer. */
  delayMs: number;
  /** Bytes that may still be put; Infinity: the disk is not full. */
  roomBytes: number;
}

export const FAIR_BLOBS: BlobWeather = {
  isAway: false,
  lostPutShare: 0,
  brokenPutShare: 0,
  delayMs: 0,
  roomBytes: Number.POSITIVE_INFINITY,
};

const CALL_MS = 20;
const TIME_OUT_MS = 5_000;

/** What a blob holds, as far as the simulator cares: which content it is. */
export type Content = string;

export class BlobModel {
  readonly weather: BlobWeather = { ...FAIR_BLOBS };
  readonly #ground: Ground;
  readonly #blobs = new Map<string, Content>();
  /** Called for each blob that is deleted. */
  onRemoved: (key: string) => void = () => {};

  constructor(ground: Ground) {
    this.#ground = ground;
  }

  /** What is stored under a key now. */
  peek(key: string): Content | undefined {
    return this.#blobs.get(key);
  }

  /** Bits turn around where they lie. */
  rot(key: string, content: Content): void {
    if (this.#blobs.has(key)) this.#blobs.set(key, content);
  }

  get keys(): readonly string[] {
    return [...this.#blobs.keys()];
  }

  get(key: string, done: (content: Content | undefined, error: string | undefined) => void): void {
    this.#call((isAway) => {
      if (isAway) done(undefined, "the store does not answer");
      else done(this.#blobs.get(key), undefined);
    });
  }

  list(prefix: string, done: (keys: readonly string[], error: string | undefined) => void): void {
    this.#call((isAway) => {
      const found = this.keys.filter((key) => key.startsWith(prefix));
      done(isAway ? [] : found, isAway ? "the store does not answer" : undefined);
    });
  }

  /** Puts where nothing is; the error says nothing of whether it is there now. */
  put(
    key: string,
    content: Content,
    bytes: number,
    done: (error: string | undefined) => void,
  ): void {
    const { random, time } = this.#ground;
    this.#call((isAway) => {
      if (isAway) return done("503");
      if (random() < this.weather.brokenPutShare) return done("the upload broke");
      if (this.weather.roomBytes < bytes) return done("no space left");
      if (!this.#blobs.has(key)) {
        this.#blobs.set(key, content);
        this.weather.roomBytes -= bytes;
      }
      if (random() >= this.weather.lostPutShare) return done(undefined);
      time.at(time.now + TIME_OUT_MS, () => done("timed out"));
    });
  }

  /** Deletes what is there; the error says nothing of whether it still is. */
  remove(key: string, done: (error: string | undefined) => void): void {
    this.#call((isAway) => {
      if (isAway) return done("503");
      if (this.#blobs.delete(key)) this.onRemoved(key);
      done(undefined);
    });
  }

  #call(act: (isAway: boolean) => void): void {
    const { random, time } = this.#ground;
    const ms = CALL_MS * (0.5 + random()) + this.weather.delayMs;
    time.at(time.now + ms, () => act(this.weather.isAway));
  }
}
