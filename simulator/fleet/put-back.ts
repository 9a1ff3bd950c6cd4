// A store that is put back to a backup, as operators do it: control planes and workers are stopped meanwhile, and whoever
// leads then is looked at until it leads on, or is told to go on from this store.
import type { Scene } from "./scene.ts";
import type { StoreBackup } from "./store-model.ts";

const LOOK_MS = 1_000;
/** Relays that do not tell what they remember are waited for so long. */
const HEARD_MS_MAX = 20_000;
/** Workers begin again when nobody has said for so long that the store is behind. */
const LED_MS = 10_000;

/** Puts the store back. */
export function putBack(scene: Scene, backup: StoreBackup): void {
  const { controlPlanes, workers, store } = scene.world;
  for (const one of controlPlanes) one.kill();
  for (const one of workers) {
    one.kill();
    one.isHeld = true;
  }
  store.restore(backup);
  scene.forget();
  for (const one of controlPlanes) {
    scene.at(scene.now + scene.between(500, 4_000), () => {
      if (!one.process.isUp) one.start();
    });
  }
  lookAfter(scene, { heldSince: undefined, ledSince: undefined });
}

interface Seen {
  readonly heldSince: number | undefined;
  readonly ledSince: number | undefined;
}

/** An operator looks now and then. */
function lookAfter(scene: Scene, { heldSince, ledSince }: Seen): void {
  const again = (seen: Seen): void => scene.at(scene.now + LOOK_MS, () => lookAfter(scene, seen));
  const { leader, relays, workers } = scene.world;
  const term = leader?.term;
  if (term === undefined || (term.held === undefined && term.seats.length === 0)) {
    again({ heldSince: undefined, ledSince: undefined });
  } else if (term.held === undefined) {
    const since = ledSince ?? scene.now;
    if (scene.now - since >= LED_MS) {
      for (const one of workers) {
        one.isHeld = false;
        if (!one.process.isUp) one.start();
      }
    }
    again({ heldSince: undefined, ledSince: since });
  } else {
    const since = heldSince ?? scene.now;
    const isHeard = term.held.heardCount === relays.length || scene.now - since >= HEARD_MS_MAX;
    const seen = { heldSince: since, ledSince: undefined };
    if (isHeard) term.held.raise();
    again(seen);
  }
}
