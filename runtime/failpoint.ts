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
  const [asked = "", ...later] = filePath === undefined ? [wanted ?? ""] : linesOf(filePath);
  const [wantedName, time = "1"] = asked.split("@");
  if (name !== wantedName) return;
  const times = (passed.get(asked) ?? 0) + 1;
  passed.set(asked, times);
  if (times === Number(time) && isFirst(later)) process.kill(process.pid, "SIGKILL");
}

function linesOf(path: string): string[] {
  try {
    return readFileSync(path, "utf8").trim().split("\n");
  } catch {
    return [];
  }
}

/** Making or deleting a file succeeds for one process only. */
function isFirst(later: readonly string[]): boolean {
  if (filePath === undefined) {
    return markPath === undefined || succeeds(() => closeSync(openSync(markPath, "wx")), "EEXIST");
  }
  if (!succeeds(() => unlinkSync(filePath), "ENOENT")) return false;
  if (later.length > 0) {
    writeFileSync(`${filePath}.new`, later.join("\n"));
    renameSync(`${filePath}.new`, filePath);
  }
  return true;
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
