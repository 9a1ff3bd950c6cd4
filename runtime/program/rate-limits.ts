// The flags of every program with a swarm that limit how many bytes it sends and fetches in a second.
import { type Command, InvalidArgumentError } from "commander";

/** Bytes a second of the least limit: of less, a neighbour counts as slow for those who wait for it (BRISK_BYTES). */
const RATE_MIN = 250_000;
/** 100 Gbit/s are more than a NIC has. */
const RATE_MAX = 12_500_000_000;
const FORM = /^(\d{1,12}(?:\.\d{1,3})?)([kMG]B|[kmg]bit)?$/;
const BYTES: Readonly<Record<string, number>> = {
  kB: 1_000,
  MB: 1_000_000,
  GB: 1_000_000_000,
  kbit: 125,
  mbit: 125_000,
  gbit: 125_000_000,
};

/** Bytes a second, as `rateLimits` reads them. */
export interface RateFlags {
  readonly upLimit?: number;
  readonly downLimit?: number;
}

/** Adds `--up-limit` and `--down-limit` to a command. */
export function rateLimits(command: Command): Command {
  const all = "all swarms of this process together";
  return command
    .option("--up-limit <rate>", `give peers no more a second, ${all}, as 12MB or 100mbit`, rate)
    .option("--down-limit <rate>", `take no more of peers a second, ${all}`, rate);
}

/** Bytes a second of "12000000", "12MB" or "96mbit"; throws commander's error. */
export function rate(text: string): number {
  const [, amount, unit] = FORM.exec(text) ?? [];
  const bytes = Number(amount) * (unit === undefined ? 1 : (BYTES[unit] ?? Number.NaN));
  if (bytes >= RATE_MIN && bytes <= RATE_MAX) return bytes;
  throw new InvalidArgumentError(
    `"${text}": expected bytes a second from 250kB (2mbit) to 100gbit, as in 12MB, 100mbit or 12500000`,
  );
}
