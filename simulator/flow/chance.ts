// Draws from distributions that people give by two of their quantiles.
import type { Random } from "../../core/swarm/random.ts";

/** Standard deviations from the median to these quantiles. */
const Z95 = 1.6449;
const Z99 = 2.3263;

/** A number of a normal distribution with mean 0 and deviation 1. */
export function normal(random: Random): number {
  // Box and Muller; 1 - x, as the logarithm of 0 is none.
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}

/** Log-normal by its median and its 99th percentile; all alike where they are. */
export function logNormal99(random: Random, p50: number, p99: number): number {
  return drawn(random, p50, Math.log(p99 / p50) / Z99);
}

/** Log-normal by its median and its 95th percentile. */
export function logNormal95(random: Random, p50: number, p95: number): number {
  return drawn(random, p50, Math.log(p95 / p50) / Z95);
}

function drawn(random: Random, p50: number, sigma: number): number {
  return sigma > 0 ? p50 * Math.exp(sigma * normal(random)) : p50;
}

/**
 * An instant of a span, in [0, 1), that is busiest in its middle: `peak` times the mean there, and as much less at
 * its ends. By rejection, so that a seed gives the same.
 */
export function arrival(random: Random, peak: number): number {
  for (;;) {
    const at = random();
    const density = 1 - (peak - 1) * Math.cos(2 * Math.PI * at);
    if (random() * peak <= density) return at;
  }
}
