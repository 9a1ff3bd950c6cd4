// Shapes of the network that files are brought over, and the least time that any system needs for it.
import type { NicRate } from "./network.ts";

/** Host 0 is the seed. */
export type Profile = "flat" | "hetero" | "slowseed" | "open";

/** The NICs of a seed and so many peers, of so many Mbit/s. */
export function ratesOf(profile: Profile, peers: number, mbit: number): NicRate[] {
  const even = { upMbit: mbit, downMbit: mbit };
  const hosts = Array.from({ length: peers + 1 }, () => even);
  switch (profile) {
    case "flat":
      return hosts;
    case "hetero":
      // Every third peer uploads at a quarter.
      return hosts.map((one, host) =>
        host > 0 && host % 3 === 0 ? { ...one, upMbit: mbit / 4 } : one,
      );
    case "slowseed":
      return hosts.map((one, host) => (host === 0 ? { ...one, upMbit: mbit / 2 } : one));
    case "open":
      return hosts.map(() => ({ upMbit: Infinity, downMbit: Infinity }));
    default:
      return profile satisfies never;
  }
}

/** Seconds below which no system can be: max(F/u_seed, F/d_min, N*F/(u_seed + sum u_i)). */
export function boundS(fileBytes: number, [seed, ...peers]: readonly NicRate[]): number {
  if (seed === undefined) throw new Error("a network without a seed has no bound");
  const mbit = (fileBytes * 8) / 1e6;
  const upAll = peers.reduce((sum, { upMbit }) => sum + upMbit, seed.upMbit);
  const downMin = Math.min(...peers.map(({ downMbit }) => downMbit));
  return Math.max(mbit / seed.upMbit, mbit / downMin, (peers.length * mbit) / upAll);
}
