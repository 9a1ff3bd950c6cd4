// What `millrace swarm` shows while it works: a bar on a terminal, plain lines where it is piped, a JSON
// object a line with --json.
import { pause } from "../runtime/program/back-off.ts";
import { formatBytes } from "../runtime/program/byte-amount.ts";
import { formatDuration } from "../runtime/recipe/duration.ts";

/** Between two lines of progress where they are piped. */
const LINE_MS = 1_000;
/** Between two looks at it, which a terminal shows. */
const PROGRESS_MS = 200;

const BAR_CELLS = 24;

/** How far a file is; bytes of pieces that are whole and verified. */
export interface FileProgress {
  readonly bytesHave: number;
  /** Of the pieces known so far. */
  readonly bytesWanted: number;
  /** The table is known to its end. */
  readonly isSealed: boolean;
  readonly bytesSent: number;
  readonly peers: number;
}

export interface Report {
  /** Something happened that a script waits for; `text` is for people. */
  event(name: string, fields: Readonly<Record<string, unknown>>, text: string): void;
  /** Tells how far it is; may be called as often as one likes. */
  progress(progress: FileProgress): void;
  /** Leaves the terminal as it should be. */
  end(): void;
}

/** Tells progress until the signal. */
export async function tellProgress(
  report: Report,
  progress: () => FileProgress,
  over: AbortSignal,
): Promise<void> {
  while (!over.aborted) {
    report.progress(progress());
    await pause(PROGRESS_MS, over);
  }
}

/** The progress of several files as one. */
export function sumOf(parts: readonly FileProgress[]): FileProgress {
  const sum = (of: (one: FileProgress) => number) => parts.reduce((all, one) => all + of(one), 0);
  return {
    bytesHave: sum((one) => one.bytesHave),
    bytesWanted: sum((one) => one.bytesWanted),
    isSealed: parts.every((one) => one.isSealed),
    bytesSent: sum((one) => one.bytesSent),
    peers: sum((one) => one.peers),
  };
}

/** The report that fits this stdout. */
export async function openReport(isJson: boolean): Promise<Report> {
  if (isJson) return new JsonReport();
  if (!process.stdout.isTTY || process.env["TERM"] === "dumb") return new LineReport();
  const { SingleBar } = await import("cli-progress");
  return new TerminalReport(
    new SingleBar({
      format: "{text}",
      hideCursor: true,
      clearOnComplete: true,
      linewrap: false,
      gracefulExit: false,
    }),
  );
}

class JsonReport implements Report {
  event(name: string, fields: Readonly<Record<string, unknown>>): void {
    console.log(JSON.stringify({ event: name, ...fields }));
  }

  progress(): void {}

  end(): void {}
}

class LineReport implements Report {
  readonly #rate = new Rate();
  #last = "";
  #printedAt = performance.now();

  event(_name: string, _fields: unknown, text: string): void {
    console.log(text);
  }

  progress(progress: FileProgress): void {
    const now = performance.now();
    if (now - this.#printedAt < LINE_MS) return;
    this.#printedAt = now;
    const line = describe(progress);
    if (line === this.#last) return;
    this.#last = line;
    console.log(`${line}, ${this.#rate.of(progress, now)}`);
  }

  end(): void {}
}

interface Bar {
  start(total: number, value: number, payload: object): void;
  update(value: number, payload: object): void;
  stop(): void;
}

class TerminalReport implements Report {
  readonly #rate = new Rate();
  readonly #bar: Bar;
  #isShown = false;

  constructor(bar: Bar) {
    this.#bar = bar;
  }

  event(_name: string, _fields: unknown, text: string): void {
    this.end();
    console.log(text);
  }

  progress(progress: FileProgress): void {
    const { bytesHave, bytesWanted } = progress;
    const share = bytesWanted === 0 ? 0 : bytesHave / bytesWanted;
    const filled = Math.floor(share * BAR_CELLS);
    const bar = `[${"█".repeat(filled)}${"░".repeat(BAR_CELLS - filled)}]`;
    const text = `${bar} ${describe(progress)}, ${this.#rate.of(progress, performance.now())}`;
    const payload = { text: text.slice(0, (process.stdout.columns ?? 80) - 1) };
    if (this.#isShown) this.#bar.update(0, payload);
    else this.#bar.start(1, 0, payload);
    this.#isShown = true;
  }

  end(): void {
    if (this.#isShown) this.#bar.stop();
    this.#isShown = false;
  }
}

/** Bytes a second, received or sent, over the last second or so. */
class Rate {
  #since = performance.now();
  #have = 0;
  #sent = 0;
  #text = "";

  of({ bytesHave, bytesSent }: FileProgress, now: number): string {
    const tookMs = now - this.#since;
    if (tookMs < LINE_MS * 0.9 && this.#text !== "") return this.#text;
    const perSecond = (bytes: number) => `${formatBytes((bytes * 1_000) / tookMs)}/s`;
    const isGrowing = bytesHave > this.#have;
    const down = isGrowing ? `${perSecond(bytesHave - this.#have)} in, ` : "";
    this.#text = `${down}${perSecond(bytesSent - this.#sent)} out`;
    [this.#since, this.#have, this.#sent] = [now, bytesHave, bytesSent];
    return this.#text;
  }
}

function describe({ bytesHave, bytesWanted, isSealed, peers }: FileProgress): string {
  const of = `${formatBytes(bytesHave)} of ${formatBytes(bytesWanted)}`;
  return `${of}${isSealed ? "" : " so far"}, ${peers} peer${peers === 1 ? "" : "s"}`;
}

/** "128 MB in 12.1 s (10.6 MB/s)". */
export function describeFetch(bytes: number, tookMs: number): string {
  const rate = formatBytes((bytes * 1_000) / Math.max(1, tookMs));
  return `${formatBytes(bytes)} in ${formatDuration(tookMs)} (${rate}/s)`;
}
