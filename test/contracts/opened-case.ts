// One case of a contract suite: a test on a fresh instance of the driver, which is disposed of after.
import { test } from "node:test";

/** Runs `body` on what `open` gives. */
export function openedCase<Opened extends { dispose(): Promise<void> }>(
  open: () => Promise<Opened>,
  title: string,
  body: (opened: Opened) => Promise<void>,
): void {
  test(title, async () => {
    const opened = await open();
    try {
      await body(opened);
    } finally {
      await opened.dispose();
    }
  });
}
