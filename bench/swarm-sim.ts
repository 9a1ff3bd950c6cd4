// The policy of the swarm in virtual time, on the very machine that runs in production: 10,000 peers and
// 1,000 pieces on links that are all alike (`flat_ratio`), and with 5 % of the hosts slow in upload only
// and 1 % churn a minute (`faulty_ratio`), each the last peer over the bound; and how many pieces change
// hands in a second of one core, haves and all. Headers, 1.05 of the payload, are left out of the ratios.
import { parseArgs } from "node:util";
import { WIRE_RATIO } from "../core/estimate/broadcast-bound.ts";
import { Broadcast, type BroadcastPlan, REGION } from "../simulator/broadcast.ts";

const { values } = parseArgs({
  options: {
    json: { type: "boolean" },
    peers: { type: "string", default: String(REGION.peers) },
    pieces: { type: "string", default: String(REGION.pieces) },
  },
});

function measure(change: Partial<BroadcastPlan>) {
  const size = { peers: Number(values.peers), pieces: Number(values.pieces) };
  const broadcast = new Broadcast({ ...REGION, ...size, ...change });
  const cpuAtStart = process.cpuUsage();
  const startedAt = performance.now();
  const report = broadcast.run();
  const cpu = process.cpuUsage(cpuAtStart);
  return {
    ratio: report.ratio / WIRE_RATIO,
    newcomerRatio: report.newcomerRatio / WIRE_RATIO,
    transfers: report.transfers,
    wallS: (performance.now() - startedAt) / 1000,
    cpuS: (cpu.user + cpu.system) / 1e6,
    trace: report.trace,
  };
}

const flat = measure({});
const faulty = measure({ slowEvery: 20, churn: 0.01 });
const figures = {
  flat_ratio: flat.ratio,
  faulty_ratio: faulty.ratio,
  newcomer_ratio: faulty.newcomerRatio,
  transfers_per_s: flat.transfers / flat.wallS,
  transfers_per_cpu_s: flat.transfers / flat.cpuS,
  trace: flat.trace,
};
console.log(JSON.stringify({ bench: "swarm-sim", figures }));
