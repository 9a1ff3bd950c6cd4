// What a program that ended by itself said last: the reason why it could not start is in there.
import { readFileSync } from "node:fs";

/** So much of the end of a log is looked at. */
const TAIL_BYTES = 4_096;

/** The last sentence of a program's log; undefined where it said nothing. */
export function lastWords(logPath: string): string | undefined {
  let text: string;
  try {
    text = readFileSync(logPath).subarray(-TAIL_BYTES).toString("utf8");
  } catch {
    return undefined;
  }
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  return sentenceIn(lines) ?? errorIn(lines);
}

/** From the logger: one line of JSON, the error's message where it has one. */
function sentenceIn(lines: readonly string[]): string | undefined {
  const line = lines.at(-1);
  if (line === undefined || !line.startsWith("{")) return undefined;
  try {
    const entry = JSON.parse(line) as { msg?: string; err?: { message?: string } };
    return entry.err?.message ?? entry.msg;
  } catch {
    return undefined;
  }
}

/** From Node or from the parser of flags: the line that names the error. */
function errorIn(lines: readonly string[]): string | undefined {
  return lines.findLast((line) => /^\w*error: /i.test(line)) ?? lines.at(-1);
}
