// How long a region takes to get what it lacks and to have it on all its machines: over the WAN into its
// relays, and from there through the swarm, piece by piece as they come. A flow model: it knows rates and
// sums, no single machine, and machines of one region, a few milliseconds apart. A test holds it beside the
// simulator's swarm of pieces, from which its constants are.
import { SEGMENT_BYTES_MAX } from "../release/limits.ts";
import { BLOCK_BYTES_MAX, LARGE_OFFERED } from "../swarm/limits.ts";
import { type BoundTerms, boundTerms, WIRE_RATIO } from "./broadcast-bound.ts";

/** What a swarm takes over the bound however long it lasts: few wires are ever idle. */
const SWARM_RATIO = 1.025;
/** Relays leave it to machines to give on what they gave, so of a relay's uplink not all helps. */
const RELAY_SHARE = 0.5;
/** A piece's way to all machines doubles who has it each time; so many pieces come beside it meanwhile. */
const DOUBLING_PIECES = 3.2;
/**
 * Of pieces of several blocks a relay gives several at once, so the first ones are whole only when it has given about so
 * many times these: nothing where it has ten times a machine's NIC, much where it has one alike.
 */
const RELAY_TURNS = 1.75;
/** Connections are opened and everybody has told what it has. */
const SET_UP_MS = 40;

/** A region as its way sees it; rates are bytes a millisecond. */
export interface RegionShape {
  readonly region: string;
  readonly machines: number;
  /** Encoded bytes that its relays lack. */
  readonly replicateBytes: number;
  /** Encoded bytes that each machine lacks. */
  readonly fetchBytes: number;
  readonly pieceBytes: number;
  /** From the origin into the region. */
  readonly wanRate: number;
  /** Uplinks of its relays, summed up. */
  readonly relayRate: number;
  /** Uplinks of its machines, summed up. */
  readonly upRates: number;
  /** The slowest machine's downlink. */
  readonly downRateMin: number;
}

/** Milliseconds from the beginning, when the origin has everything. */
export interface FetchTime {
  readonly replicatedMs: number;
  /** The last machine has fetched everything. */
  readonly fetchedMs: number;
  /** What no way of fetching can beat: the WAN, and the bound of the broadcast. */
  readonly boundMs: number;
  readonly wanMs: number;
  readonly terms: BoundTerms;
}

/** How long one region takes. */
export function fetchTime(shape: RegionShape): FetchTime {
  const { machines, replicateBytes, fetchBytes, wanRate } = shape;
  const terms = boundTerms({ ...shape, bytes: fetchBytes, sourceRate: shape.relayRate });
  const wanMs = replicateBytes / wanRate;
  const boundMs = Math.max(wanMs, terms.sourceMs, terms.machineMs, terms.uplinksMs);
  // No hop waits for the whole: a relay gives on the first segment while the next one comes.
  const segmentMs = Math.min(replicateBytes, SEGMENT_BYTES_MAX) / wanRate;
  const replicatedMs = WIRE_RATIO * wanMs + segmentMs;
  if (machines === 0 || fetchBytes === 0) {
    return { replicatedMs, fetchedMs: 0, boundMs, wanMs, terms };
  }
  const givenRate = RELAY_SHARE * shape.relayRate + shape.upRates;
  const swarmMs = SWARM_RATIO * Math.max(terms.machineMs, (machines * fetchBytes) / givenRate);
  const flowMs = Math.max(wanMs, terms.sourceMs, swarmMs);
  return {
    replicatedMs,
    fetchedMs: WIRE_RATIO * flowMs + segmentMs + rampMs(shape),
    boundMs,
    wanMs,
    terms,
  };
}

/** Until the first pieces are everywhere, and at the end the last ones. */
function rampMs({ machines, fetchBytes, pieceBytes, upRates, relayRate }: RegionShape): number {
  const wireBytes = WIRE_RATIO * Math.min(pieceBytes, fetchBytes);
  const pieceMs = (wireBytes * machines) / upRates;
  const firstPieces = pieceBytes > BLOCK_BYTES_MAX ? RELAY_TURNS * LARGE_OFFERED : 0;
  const firstMs = (firstPieces * wireBytes) / relayRate;
  return SET_UP_MS + firstMs + DOUBLING_PIECES * Math.log2(machines + 1) * pieceMs;
}
