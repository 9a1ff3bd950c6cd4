// A program that ends as its argument says: at once, never, or badly; for lifecycle.test.ts.
import { createLog } from "../../runtime/log.ts";
import { stopOnSignal } from "../../runtime/program/lifecycle.ts";

const [how, drainMs] = process.argv.slice(2);

/** Keeps it running. */
setInterval(() => {}, 1_000);
stopOnSignal(createLog("test"), Number(drainMs), async ({ over, leftMs }) => {
  process.stdout.write(`draining, ${leftMs > 0 ? "with time" : "without"}\n`);
  if (how === "badly") throw new Error("as asked");
  if (how === "never") await new Promise(() => {});
  if (how === "in-time") await new Promise((resolve) => over.addEventListener("abort", resolve));
});
process.stdout.write("ready\n");
