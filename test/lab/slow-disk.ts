// Makes the disk of running processes slow: each flush of a file waits before it is done, in the thread that asked
// for it, as on a disk that is busy. Done to the system calls of the real programs by strace, which lets go of them again.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

const FLUSHES = "fsync,fdatasync";

/** A process whose disk is slow until `restore`. */
export interface SlowDisk {
  restore(): Promise<void>;
}

/** Has each flush of this process, of all its threads and of those that it starts take `ms` more. */
export async function slowDisk(pid: number, ms: number): Promise<SlowDisk> {
  const delay = `inject=${FLUSHES}:delay_enter=${ms * 1_000}`;
  const flags = ["-f", "-o", "/dev/null", "-e", `trace=${FLUSHES}`, "-e", delay, "-p", `${pid}`];
  const strace = spawn("strace", flags, { stdio: ["ignore", "ignore", "pipe"] });
  const ended = once(strace, "exit");
  await new Promise<void>((resolve, reject) => {
    strace.once("error", (cause) => {
      reject(new Error("strace does not start: apt-get install strace", { cause }));
    });
    createInterface(strace.stderr).on("line", (line) => {
      if (line.includes("attached")) resolve();
      else reject(new Error(`strace of ${pid}: ${line}`));
    });
  });
  return {
    restore: async () => {
      strace.kill("SIGTERM");
      await ended;
    },
  };
}
