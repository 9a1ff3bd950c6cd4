// A leader's term for what is started in the test's own process: elected on the real store.
import type { Fence } from "../../controlplane/fence.ts";
import { Candidate } from "../../controlplane/leadership/candidate.ts";
import type { Log } from "../../runtime/log.ts";
import type { Store } from "../../runtime/store/store.ts";

/** Takes part in the election on a store, and resolves when it is won; `resign` ends the term. */
export async function elected(
  store: Store,
  log: Log,
): Promise<{ readonly fence: Fence; readonly resign: () => Promise<void> }> {
  const won = Promise.withResolvers<Fence>();
  const candidate = new Candidate({
    ...{ store, log, replica: "test" },
    onLead: won.resolve,
    onStepDown: () => {},
  });
  await candidate.start("127.0.0.1:1");
  return { fence: await won.promise, resign: () => candidate.stop() };
}
