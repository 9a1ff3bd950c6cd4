// A program's way to the store: requests and answers take time, get lost, come late, or meet a store that is away;
// watches come late, twice, or lose their history. Whoever asks is always answered in the end.
import type { Instant } from "../../core/machine.ts";
import type { Process } from "./process.ts";
import type { Change, ChangeResult, StoredEntry, StoreEvent, StoreModel } from "./store-model.ts";

/** A call that got no answer is given up after so long. */
const CALL_MS = 3_000;
/** One way between a program and the store. */
const WAY_MS_MAX = 4;
/** A watch that is cut off is opened again so long after the way is free. */
const REWATCH_MS = 1_000;

/** How the way to the store is at this moment; all false and 0: well. */
export interface StoreWay {
  /** Requests do not arrive. */
  isCut: boolean;
  /** Answers and events do not arrive. */
  isMute: boolean;
}

/** What befalls the store for all. */
export interface StoreWeather {
  /** It answers nobody. */
  isAway: boolean;
  /** Every write takes so much longer; leases are kept in memory. */
  diskMs: number;
  /** Share of the writes that happen and are not answered. */
  unknownShare: number;
  /** Share of the writes that happen when nobody waits for them any more. */
  lateShare: number;
  /** Share of the events that are delivered twice. */
  repeatShare: number;
  /** Events are late by up to so long. */
  lateEventMs: number;
  /** Confirms leases that have ended. */
  confirmsAll: boolean;
}

export const FAIR_WEATHER: StoreWeather = {
  isAway: false,
  diskMs: 0,
  unknownShare: 0,
  lateShare: 0,
  repeatShare: 0,
  lateEventMs: 0,
  confirmsAll: false,
};

/** `unavailable`: it did not happen. `unknown`: it may have, or may yet. */
export type Answer<Value> =
  | { readonly kind: "answered"; readonly value: Value }
  | { readonly kind: "unavailable" }
  | { readonly kind: "unknown" };

export class StoreClient {
  readonly way: StoreWay = { isCut: false, isMute: false };
  readonly #process: Process;
  readonly #store: StoreModel;
  readonly #weather: StoreWeather;

  constructor(process: Process, store: StoreModel, weather: StoreWeather) {
    this.#process = process;
    this.#store = store;
    this.#weather = weather;
  }

  /** Reads; the answer is `unavailable` where none comes. */
  read<Value>(read: (store: StoreModel) => Value, done: (answer: Answer<Value>) => void): void {
    this.#ask(false, () => read(this.#store), done);
  }

  get(key: string, done: (answer: Answer<StoredEntry | undefined>) => void): void {
    this.read((store) => store.get(key), done);
  }

  transact(change: Change, done: (answer: Answer<ChangeResult>) => void): void {
    this.#ask(true, () => this.#store.transact(change), done);
  }

  grant(ttlMs: number, done: (answer: Answer<string>) => void): void {
    this.#ask(true, () => this.#store.grant(ttlMs), done);
  }

  /** Not a write: leases are confirmed from memory. */
  keepAlive(lease: string, done: (answer: Answer<boolean>) => void): void {
    this.#ask(false, () => this.#store.keepAlive(lease) || this.#weather.confirmsAll, done);
  }

  revoke(lease: string): void {
    this.#ask(
      true,
      () => this.#store.revoke(lease),
      () => {},
    );
  }

  /**
   * Delivers what changes under a prefix in this life of the program, in order, perhaps twice. `onLost` is called
   * when something may have been missed, after which the watch goes on: read anew then.
   */
  watch(
    prefix: string,
    onEvents: (events: readonly StoreEvent[]) => void,
    onLost: () => void,
  ): () => void {
    const process = this.#process;
    const { time, random } = process.ground;
    const { life } = process;
    let isOpen = true;
    let end = (): void => {};
    let lastAt: Instant = 0;
    const open = (): void => {
      if (!isOpen || life !== process.life) return;
      end = this.#store.watch({
        prefix,
        onEvents: (events) => {
          if (this.way.isMute || this.way.isCut || this.#weather.isAway) {
            lose();
            return;
          }
          const turns = random() < this.#weather.repeatShare ? 2 : 1;
          for (let turn = 0; turn < turns; turn += 1) {
            const at = time.now + this.#wayMs() + random() * this.#weather.lateEventMs;
            lastAt = Math.max(lastAt, at);
            time.at(lastAt, () =>
              process.deliver(life, () => {
                if (isOpen) onEvents(events);
              }),
            );
          }
        },
        onCompacted: () => lose(),
      });
    };
    const lose = (): void => {
      end();
      process.after(REWATCH_MS, () => {
        if (!isOpen) return;
        if (this.#isBlocked) {
          lose();
          return;
        }
        open();
        onLost();
      });
    };
    open();
    process.onEnd(() => end());
    return () => {
      isOpen = false;
      end();
    };
  }

  get #isBlocked(): boolean {
    return this.way.isCut || this.way.isMute || this.#weather.isAway;
  }

  #wayMs(): number {
    return 0.2 + this.#process.ground.random() * WAY_MS_MAX;
  }

  #ask<Value>(isWrite: boolean, act: () => Value, done: (answer: Answer<Value>) => void): void {
    const process = this.#process;
    const { time, random } = process.ground;
    const { life } = process;
    const { generation } = this.#store;
    const isGone = (): boolean => generation !== this.#store.generation;
    const tell = (ms: number, answer: Answer<Value>): void =>
      time.at(time.now + ms, () => process.deliver(life, () => done(answer)));
    const silence: Answer<Value> = { kind: isWrite ? "unknown" : "unavailable" };
    if (this.way.isCut || this.#weather.isAway) {
      tell(CALL_MS, silence);
      return;
    }
    const goesMs = this.#wayMs() + (isWrite ? this.#weather.diskMs : 0);
    if (isWrite && random() < this.#weather.lateShare) {
      tell(CALL_MS, silence);
      time.at(time.now + CALL_MS + random() * CALL_MS, () => {
        if (!isGone()) act();
      });
      return;
    }
    const isLost = isWrite && random() < this.#weather.unknownShare;
    time.at(time.now + goesMs, () => {
      // It broke meanwhile: what was under way did not happen.
      if (this.#weather.isAway || isGone()) {
        tell(CALL_MS, silence);
        return;
      }
      const value = act();
      if (isLost || this.way.isMute || this.way.isCut) tell(CALL_MS - goesMs, silence);
      else tell(this.#wayMs(), { kind: "answered", value });
    });
  }
}
