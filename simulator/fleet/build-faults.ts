// Faults of workers, and of what is asked of the queue.
import type { Fault } from "./fault.ts";

export const BUILD_FAULTS: readonly Fault[] = [
  {
    row: 18,
    what: "a worker is killed, stands still, or is cut off",
    strike: (scene) => {
      const { network, workers, controlPlanes } = scene.world;
      const worker = scene.pick(workers);
      const kind = scene.pick(["killed", "frozen", "cut"]);
      if (kind === "killed") worker.kill();
      else if (kind === "frozen") worker.process.freeze(scene.between(5_000, 60_000));
      else {
        const until = scene.now + scene.between(5_000, 60_000);
        for (const { name } of controlPlanes) {
          network.cut(worker.name, name, until);
          network.cut(name, worker.name, until);
        }
      }
      scene.reviveSoon(() => workers);
    },
  },
  {
    row: 19,
    what: "the same build is asked for again and again",
    strike: (scene) => {
      const key = scene.pick(["commit", "other commit", "third commit"]);
      for (let turn = 0; turn < 5; turn += 1) {
        const ship = scene.random() < 0.2;
        scene.at(scene.now + scene.between(0, 3_000), () => scene.submit(key, `r${turn}`, ship));
      }
    },
  },
  {
    row: 20,
    what: "a build kills each worker that takes it",
    strike: (scene) => {
      const key = scene.newKey("poison");
      scene.poison.add(key);
      scene.submit(key, "ci", false);
      scene.reviveSoon(() => scene.world.workers, 10);
    },
  },
];
