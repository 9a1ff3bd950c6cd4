// How a program ends at a signal, whatever its own end does: within its time, with the code that fits.
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const CHILD = fileURLToPath(new URL("./lifecycle-child.ts", import.meta.url));

interface Started {
  readonly child: ChildProcess;
  readonly exited: Promise<unknown[]>;
  /** The next line that it says. */
  said(): Promise<string>;
}

async function start(how: string, drainMs: number): Promise<Started> {
  const child = spawn(process.execPath, [CHILD, how, String(drainMs)], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  const exited = once(child, "exit");
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const said = async (): Promise<string> => (await lines.next()).value as string;
  assert.equal(await said(), "ready");
  return { child, exited, said };
}

for (const signal of ["SIGTERM", "SIGINT"] as const) {
  test(`${signal} ends it with 0 when its end has come`, async () => {
    const { child, exited, said } = await start("at-once", 60_000);
    child.kill(signal);
    assert.equal(await said(), "draining, with time");
    assert.deepEqual(await exited, [0, null]);
  });
}

test("it is told when its time is over, and ends with 0", async () => {
  const { child, exited } = await start("in-time", 50);
  child.kill("SIGTERM");
  assert.deepEqual(await exited, [0, null]);
});

test("an end that does not come is cut off, with 0: the next start goes on", async () => {
  const { child, exited } = await start("never", 50);
  child.kill("SIGTERM");
  assert.deepEqual(await exited, [0, null]);
});

test("a second signal ends it at once, with 130", async () => {
  const { child, exited, said } = await start("never", 60_000);
  child.kill("SIGTERM");
  assert.equal(await said(), "draining, with time");
  child.kill("SIGINT");
  assert.deepEqual(await exited, [130, null]);
});

test("an end that fails is a failure, with 1", async () => {
  const { child, exited } = await start("badly", 60_000);
  child.kill("SIGTERM");
  assert.deepEqual(await exited, [1, null]);
});
