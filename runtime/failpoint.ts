// Named places where a test can have a program killed as by `kill -9`, to see what is left behind.
// MILLRACE_FAILPOINT names one: "agent.before-switch", or "agent.before-switch@3" for the third time.

const [wantedName, wantedTime] = (process.env["MILLRACE_FAILPOINT"] ?? "").split("@");
let timesLeft = Number(wantedTime ?? 1);

/** Ends this process at once, by SIGKILL, where the environment asks for this place. */
export function failpoint(name: string): void {
  if (name !== wantedName) return;
  timesLeft -= 1;
  if (timesLeft === 0) process.kill(process.pid, "SIGKILL");
}
