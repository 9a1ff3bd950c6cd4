// Named places where a test can have a program killed as by `kill -9`, to see what is left behind.
// MILLRACE_FAILPOINT names one: "agent.before-switch", or "agent.before-switch@3" for the third time.
// MILLRACE_FAILPOINT_MARK names a file that is made by whoever dies first; nobody dies twice.
// MILLRACE_FAILPOINT_FILE instead names a file with such names, one a line, that are struck one after the
// other in one system; who dies takes the first line away, and with the last one the file.
import { closeSync, openSync, readFileSync, renameSync, unlinkSync, writeFileSync } from "node:fs";

const filePath = process.env["MILLRACE_FAILPOINT_FILE"];
const markPath = process.env["MILLRACE_FAILPOINT_MARK"];
const wanted = process.env["MILLRACE_FAILPOINT"];
/** How often each wanted place was passed. */
const passed = new Map<string, number>();

/** Ends this process at once, by SIGKILL, where the environment asks for this place. */
export function failpoint(name: string): void {
  const [asked = ""] = filePath === undefined ? [wanted ?? ""] : linesOf(filePath);
  const [wantedName, time = "1"] = asked.split("@");
  if (name !== wantedName) return;
  const times = (passed.get(asked) ?? 0) + 1;
  passed.set(asked, times);
  if (times === Number(time) && isFirst(asked)) process.kill(process.pid, "SIGKILL");
}

function linesOf(path: string): string[] {
  try {
    return readFileSync(path, "utf8").trim().split("\n");
  } catch {
    return [];
  }
}

/** Making a file succeeds for one process only. */
function isFirst(asked: string): boolean {
  const path = filePath === undefined ? markPath : `${filePath}.struck`;
  if (path === undefined) return true;
  if (!succeeds(() => closeSync(openSync(path, "wx")), "EEXIST")) return false;
  return filePath === undefined || takesFirst(filePath, path, asked);
}

/**
 * Takes the first line away, if it is still the one asked for: who looks whether the file is there sees it until the last
 * line is gone. `struck` is there meanwhile, so that nobody else takes one.
 */
function takesFirst(file: string, struck: string, asked: string): boolean {
  const [first, ...later] = linesOf(file);
  if (first === asked && later.length > 0) {
    writeFileSync(`${file}.new`, later.join("\n"));
    renameSync(`${file}.new`, file);
  } else if (first === asked) unlinkSync(file);
  unlinkSync(struck);
  return first === asked;
}

function succeeds(work: () => void, otherwise: string): boolean {
  try {
    work();
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === otherwise) return false;
    throw error;
  }
}
