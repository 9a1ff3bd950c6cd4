// What no way of bringing the same bytes from some sources to many machines can beat: every byte leaves a
// source once, every machine takes each once, and all uplinks together give each machine each byte.

/** Bytes on the wire for each of payload: 66 of headers for 1,448, and their acknowledgements. */
export const WIRE_RATIO = 1.05;

/** A broadcast as the bound sees it. Rates are bytes a millisecond. */
export interface Broadcast {
  readonly bytes: number;
  readonly machines: number;
  /** Uplinks of all sources that begin with everything, summed up. */
  readonly sourceRate: number;
  /** The slowest machine's downlink. */
  readonly downRateMin: number;
  /** Uplinks of all machines, summed up. */
  readonly upRates: number;
}

/** Milliseconds that each of the three takes; the greatest is the bound. */
export interface BoundTerms {
  /** F/u_s: every byte out of a source. */
  readonly sourceMs: number;
  /** F/d_min: every byte into the slowest machine. */
  readonly machineMs: number;
  /** N*F/(u_s + sum u_i): every byte to every machine, out of all uplinks. */
  readonly uplinksMs: number;
}

/** The terms of the bound. */
export function boundTerms(broadcast: Broadcast): BoundTerms {
  const { bytes, machines, sourceRate, downRateMin, upRates } = broadcast;
  if (machines === 0 || bytes === 0) return { sourceMs: 0, machineMs: 0, uplinksMs: 0 };
  return {
    sourceMs: bytes / sourceRate,
    machineMs: bytes / downRateMin,
    uplinksMs: (machines * bytes) / (sourceRate + upRates),
  };
}
