// Named places where a test can have a program killed as by `kill -9`, to see what is left behind.
// MILLRACE_FAILPOINT names one: "agent.before-switch", or "agent.before-switch@3" for the third time.
// MILLRACE_FAILPOINT_MARK names a file that is made by whoever dies first; nobody dies twice.
import { closeSync, openSync } from "node:fs";

const [wantedName, wantedTime] = (process.env["MILLRACE_FAILPOINT"] ?? "").split("@");
const markPath = process.env["MILLRACE_FAILPOINT_MARK"];
let timesLeft = Number(wantedTime ?? 1);

/** Ends this process at once, by SIGKILL, where the environment asks for this place. */
export function failpoint(name: string): void {
  if (name !== wantedName) return;
  timesLeft -= 1;
  if (timesLeft === 0 && isFirst()) process.kill(process.pid, "SIGKILL");
}

function isFirst(): boolean {
  if (markPath === undefined) return true;
  try {
    closeSync(openSync(markPath, "wx"));
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}
