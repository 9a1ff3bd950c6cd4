// Named places where a test can have a program killed as by `kill -9`, to see what is left behind.
// MILLRACE_FAILPOINT names one: "agent.before-switch", or "agent.before-switch@3" for the third time.
// MILLRACE_FAILPOINT_MARK names a file that is made by whoever dies first; nobody dies twice.
// MILLRACE_FAILPOINT_FILE instead names a file that holds the name, so that one system can be struck at
// one place after the other; who dies deletes it.
import { closeSync, openSync, readFileSync, unlinkSync } from "node:fs";

const filePath = process.env["MILLRACE_FAILPOINT_FILE"];
const markPath = process.env["MILLRACE_FAILPOINT_MARK"];
const wanted = process.env["MILLRACE_FAILPOINT"];
/** How often each wanted place was passed. */
const passed = new Map<string, number>();

/** Ends this process at once, by SIGKILL, where the environment asks for this place. */
export function failpoint(name: string): void {
  const asked = filePath === undefined ? wanted : contentOf(filePath);
  if (asked === undefined) return;
  const [wantedName, time = "1"] = asked.split("@");
  if (name !== wantedName) return;
  const times = (passed.get(asked) ?? 0) + 1;
  passed.set(asked, times);
  if (times === Number(time) && isFirst()) process.kill(process.pid, "SIGKILL");
}

function contentOf(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}

/** Making or deleting a file succeeds for one process only. */
function isFirst(): boolean {
  if (filePath !== undefined) return succeeds(() => unlinkSync(filePath), "ENOENT");
  return markPath === undefined || succeeds(() => closeSync(openSync(markPath, "wx")), "EEXIST");
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
