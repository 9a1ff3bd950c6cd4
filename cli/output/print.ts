// How what a command found or did reaches stdout: as one JSON object with --json, else as text for
// people.
import type { Rows } from "../remote/pages.ts";

interface Flags {
  readonly json: boolean;
}

/** Prints what was read. */
export function printRead(flags: Flags, record: object, text: () => string): void {
  console.log(flags.json ? JSON.stringify(record) : text());
}

/** Prints a list under its name, and says where there is more of it. */
export function printRows<Row>(
  flags: Flags,
  found: Rows<Row>,
  view: {
    readonly name: string;
    readonly record: (row: Row) => object;
    readonly table: (rows: readonly Row[]) => string;
  },
): void {
  const { rows, isCut } = found;
  printRead(flags, { [view.name]: rows.map(view.record), more: isCut }, () => {
    const more = isCut ? `\n(the first ${rows.length}; there are more: --limit)` : "";
    return `${view.table(rows)}${more}`;
  });
}

/** Prints what a command did: the report with --json, else the sentence, if there is one to say. */
export function print(flags: Flags, report: object, sentence: string): void {
  if (flags.json) console.log(JSON.stringify(report));
  else if (sentence !== "") console.log(sentence);
}
