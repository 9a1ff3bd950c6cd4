// A thread that runs the seeds that it is given, in turn.
import { parentPort } from "node:worker_threads";
import { runSeed } from "./run-seed.ts";

parentPort?.on("message", (seeds: readonly number[]) => {
  parentPort?.postMessage(seeds.map((seed) => runSeed(seed)));
});
