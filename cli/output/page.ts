// A page of text that is shown again and again: redrawn in place on a terminal, printed anew elsewhere.

/** A page. */
export interface Page {
  show(text: string): void;
  /** Leaves the terminal as it was, the last page on it; no call may follow. */
  close(): void;
}

/** The page for this stdout. */
export function openPage(): Page {
  const isTerminal = process.stdout.isTTY && process.env["TERM"] !== "dumb";
  return isTerminal ? new TerminalPage() : { show: printed, close: () => {} };
}

function printed(text: string): void {
  console.log(`${text}\n`);
}

/** Other screen, cursor hidden; and back. */
const ENTER = "\x1b[?1049h\x1b[?25l";
const LEAVE = "\x1b[?25h\x1b[?1049l";
const HOME = "\x1b[H";
const CLEAR_LINE_REST = "\x1b[K";
const CLEAR_REST = "\x1b[J";

class TerminalPage implements Page {
  #last = "";

  constructor() {
    process.stdout.write(ENTER);
  }

  show(text: string): void {
    this.#last = text;
    const { columns, rows } = process.stdout;
    const lines = fitLines(text, columns, rows).map((line) => `${line}${CLEAR_LINE_REST}`);
    process.stdout.write(`${HOME}${lines.join("\n")}${CLEAR_REST}`);
  }

  close(): void {
    process.stdout.write(`${LEAVE}${this.#last}\n`);
  }
}

/** The lines of a text that fit on a screen, each cut to its columns. */
export function fitLines(text: string, columns: number, rows: number): string[] {
  return text
    .split("\n")
    .slice(0, rows)
    .map((line) => (line.length <= columns ? line : `${line.slice(0, columns - 1)}…`));
}
