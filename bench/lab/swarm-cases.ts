// The cases of the swarm benchmark: what is raced in each, against whom, and which figures come of it.
import { pieceBytesFor } from "../../core/release/piece-table.ts";
import { Broadcast, type BroadcastPlan, SHAPED } from "../../simulator/broadcast.ts";
import type { Contestant } from "./contestant.ts";
import { median } from "./figures.ts";
import { millrace } from "./millrace-contestant.ts";
import { boundS, type Profile } from "./profile.ts";
import type { RacePlan, RaceResult } from "./race.ts";
import { aria2, libtorrent, libtorrentSuper } from "./torrent-contestants.ts";

const MIB = 1024 * 1024;
const PEERS = 16;
const MBIT = 100;

/** What a case needs of a race; where it runs is the runner's. */
export interface SwarmCase {
  readonly name: string;
  readonly profile: Profile;
  readonly peers: number;
  readonly mbit: number;
  readonly fileBytes: number;
  readonly churn?: number;
  readonly isGrowing?: boolean;
  readonly isWarm?: boolean;
  readonly contestants: readonly Contestant[];
  /** What the simulator is told of it; left out: it is not predicted. */
  readonly simulated?: Partial<BroadcastPlan>;
  /** Figures from the results of each contestant, by its name. */
  readonly figures: (results: Results) => Readonly<Record<string, number>>;
}

/** All rounds of each contestant, by its name. */
export type Results = ReadonlyMap<string, readonly RaceResult[]>;

const shaped = { peers: PEERS, mbit: MBIT, fileBytes: 128 * MIB, contestants: [millrace] };

export const SWARM_CASES: readonly SwarmCase[] = [
  {
    ...shaped,
    name: "flat",
    profile: "flat",
    contestants: [millrace, libtorrent, libtorrentSuper, aria2],
    simulated: {},
    figures: (results) => ({
      flat_ratio: ratio(results, millrace),
      ...others(results, "flat_ratio"),
    }),
  },
  {
    ...shaped,
    name: "hetero",
    profile: "hetero",
    simulated: { slowEvery: 3 },
    figures: (results) => ({ hetero_ratio: ratio(results, millrace) }),
  },
  {
    ...shaped,
    name: "slowseed",
    profile: "slowseed",
    simulated: { seedMbit: MBIT / 2 },
    figures: (results) => ({ slowseed_ratio: ratio(results, millrace) }),
  },
  {
    ...shaped,
    name: "churn",
    profile: "flat",
    churn: 0.25,
    figures: (results) => ({ churn_ratio: middle(results, millrace, churnRatio) }),
  },
  {
    ...shaped,
    name: "growing",
    profile: "flat",
    isGrowing: true,
    figures: (results) => ({ cut_through_ratio: middle(results, millrace, cutThroughRatio) }),
  },
  {
    ...shaped,
    name: "flat512",
    profile: "flat",
    fileBytes: 512 * MIB,
    contestants: [millrace, libtorrent, libtorrentSuper, aria2],
    figures: (results) => ({
      flat_ratio_512mb: ratio(results, millrace),
      ...others(results, "flat_ratio_512mb"),
    }),
  },
  {
    name: "open",
    profile: "open",
    peers: 8,
    mbit: Infinity,
    fileBytes: 1024 * MIB,
    isWarm: true,
    contestants: [millrace, aria2],
    figures: (results) => {
      const { lastS, peerRssMb } = {
        lastS: middle(results, millrace, (one) => one.lastS),
        peerRssMb: Math.max(...(results.get(millrace.name) ?? []).map((one) => one.peerRssMb)),
      };
      const theirs = results.get(aria2.name);
      const rate = theirs && {
        open_rate_over_aria2: median(theirs.map((one) => one.lastS)) / lastS,
      };
      return { open_s: lastS, peer_rss_mb: peerRssMb, ...rate };
    },
  },
];

/** One of five files that are brought at once; smaller, as all of them pass through each NIC. */
export const URGENT_CASE = {
  name: "urgent",
  profile: "flat" as const,
  swarms: 5,
  peers: PEERS,
  mbit: MBIT,
  fileBytes: 128 * MIB,
};

function ratio(results: Results, contestant: Contestant): number {
  return middle(results, contestant, ({ lastS, boundS: bound }) => lastS / bound);
}

function middle(results: Results, { name }: Contestant, of: (one: RaceResult) => number): number {
  return median((results.get(name) ?? []).map(of));
}

/** The others' ratios, where they took part; of libtorrent the better of its two ways. */
function others(results: Results, figure: string): Record<string, number> {
  const torrents = [libtorrent, libtorrentSuper].filter(({ name }) => results.has(name));
  const best = torrents.map((one) => ratio(results, one));
  return {
    ...(best.length > 0 && { [`libtorrent_${figure}`]: Math.min(...best) }),
    ...(results.has(aria2.name) && { [`aria2_${figure}`]: ratio(results, aria2) }),
  };
}

/** The worse of survivors over the bound, and of newcomers over their own way through one NIC. */
function churnRatio({ lastS, newcomerS, boundS: bound }: RaceResult): number {
  const alone = boundS(128 * MIB, [
    { upMbit: MBIT, downMbit: MBIT },
    { upMbit: MBIT, downMbit: MBIT },
  ]);
  return Math.max(lastS / bound, newcomerS / alone);
}

/** Pieces of a growing file, and the doublings until 17 hosts have the last one. */
const GROWING_PIECE_BYTES = 256 * 1024;
const DOUBLINGS = Math.ceil(Math.log2(PEERS + 1));

/** Over the time of the file's last byte and of one piece's way through the swarm. */
function cutThroughRatio({ lastS, writtenS }: RaceResult): number {
  const pieceS = (GROWING_PIECE_BYTES * 8) / (MBIT * 1e6);
  return lastS / (writtenS + DOUBLINGS * pieceS);
}

/** How far the simulator is off the median of our races, as a share of it; undefined: not simulated. */
export function simulationError(one: SwarmCase, results: Results): number | undefined {
  const { peers, mbit, fileBytes, simulated } = one;
  if (simulated === undefined || !results.has(millrace.name)) return undefined;
  const pieces = Math.ceil(fileBytes / pieceBytesFor(fileBytes));
  const size = { peers, pieces, mbit, seedMbit: mbit };
  const { lastMs } = new Broadcast({ ...SHAPED, ...size, ...simulated }).run();
  const lastS = middle(results, millrace, (result) => result.lastS);
  return Math.abs(lastMs / 1_000 - lastS) / lastS;
}

/** The plan of one race of a case. */
export function planOf(
  one: Omit<SwarmCase, "contestants" | "figures" | "simulated">,
  contestant: Contestant,
  where: Pick<RacePlan, "source" | "folder">,
): RacePlan {
  const { profile, peers, mbit, fileBytes, churn, isGrowing, isWarm } = one;
  return { contestant, profile, peers, mbit, fileBytes, churn, isGrowing, isWarm, ...where };
}
