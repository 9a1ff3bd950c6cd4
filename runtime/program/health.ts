// Whether a program is ready to do its work, and if not, what is missing: looked at each second, told to whoever
// asks. That it lives is another question, answered by whoever answers at all: what is missing elsewhere is no
// reason to start a program anew. Nothing is decided by either here.

/** Between two looks. */
const LOOK_MS = 1_000;
/** A check that has not answered by then counts as failed. */
const CHECK_MS_MAX = 2_000;

/** What is missing, in a few words; undefined: nothing. What it throws is what is missing. */
export type HealthCheck = () => string | undefined | Promise<string | undefined>;

/** One program's health. */
export class Health {
  readonly #checks: Readonly<Record<string, HealthCheck>>;
  readonly #listeners: (() => void)[] = [];
  #missing: ReadonlyMap<string, string> = new Map([["program", "is starting"]]);
  #timer: NodeJS.Timeout | undefined;
  #isDraining = false;

  /** `checks` by what each looks at, in a word. */
  constructor(checks: Readonly<Record<string, HealthCheck>>) {
    this.#checks = checks;
  }

  /** What is missing, by what was looked at. */
  get missing(): ReadonlyMap<string, string> {
    return this.#missing;
  }

  get isReady(): boolean {
    return this.#missing.size === 0;
  }

  /** Calls back whenever the program becomes ready, or is no longer. */
  onChange(listener: () => void): void {
    this.#listeners.push(listener);
  }

  /** The program has started: resolves after the first look, and goes on looking until `drain`. */
  async begin(): Promise<void> {
    await this.#look();
  }

  /** The program ends: it is not ready any more, and never again. */
  drain(): void {
    this.#isDraining = true;
    clearTimeout(this.#timer);
    this.#set(new Map([["program", "is ending"]]));
  }

  async #look(): Promise<void> {
    const missing = new Map<string, string>();
    const looks = Object.entries(this.#checks).map(async ([name, check]) => {
      const found = await inTime(check);
      if (found !== undefined) missing.set(name, found);
    });
    await Promise.all(looks);
    if (this.#isDraining) return;
    this.#set(missing);
    this.#timer = setTimeout(() => void this.#look(), LOOK_MS);
    this.#timer.unref();
  }

  #set(missing: ReadonlyMap<string, string>): void {
    const wasReady = this.isReady;
    this.#missing = missing;
    if (wasReady === this.isReady) return;
    for (const listener of this.#listeners) listener();
  }
}

async function inTime(check: HealthCheck): Promise<string | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<string>((resolve) => {
    timer = setTimeout(() => resolve(`no answer within ${CHECK_MS_MAX} ms`), CHECK_MS_MAX);
  });
  try {
    return await Promise.race([(async () => check())(), late]);
  } catch (error) {
    return (error as Error).message;
  } finally {
    clearTimeout(timer);
  }
}
