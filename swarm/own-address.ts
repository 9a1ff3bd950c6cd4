// Where a peer listens and what others are told: the address given, or the one of this machine from
// which the seed is reached.
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { AddressError, formatAddress, parseAddress } from "../runtime/listen-address.ts";
import { parsePeerAddress } from "../runtime/peer/peer-address.ts";
import { CommandError, EXIT } from "../runtime/program/exit-codes.ts";

/** Addresses that mean all of a machine's; nobody can dial them. */
const WILDCARDS: ReadonlySet<string> = new Set(["0.0.0.0", "::"]);

export interface ListenFlags {
  /** host:port; "none": nobody can dial us. */
  readonly listen?: string;
  readonly advertise?: string;
}

/** As a swarm node takes it; without a host nobody can dial us. */
export interface OwnAddress {
  readonly host?: string;
  readonly port?: number;
  readonly advertise?: string;
}

/** What to listen on; without --listen a free port towards `seed`. Throws CommandError. */
export async function ownAddress(flags: ListenFlags, seed: string): Promise<OwnAddress> {
  const { advertise } = flags;
  if (advertise !== undefined && parsePeerAddress(advertise) === undefined) {
    throw new CommandError(EXIT.usage, `--advertise "${advertise}": expected host:port`);
  }
  if (flags.listen === "none") return {};
  const { host, port } = parse(flags.listen ?? (await freePortTowards(seed)));
  if (WILDCARDS.has(host) && advertise === undefined) {
    const what = `--listen ${flags.listen}: nobody can dial that`;
    throw new CommandError(
      EXIT.usage,
      `${what}; say what others are told by --advertise host:port`,
    );
  }
  return { host, port, ...(advertise !== undefined && { advertise }) };
}

function parse(text: string): { readonly host: string; readonly port: number } {
  try {
    return parseAddress(text);
  } catch (error) {
    if (!(error instanceof AddressError)) throw error;
    throw new CommandError(EXIT.usage, `--listen: ${error.message}`);
  }
}

/** Connecting a datagram socket sends nothing, but finds the way. */
async function freePortTowards(seed: string): Promise<string> {
  const { host, port } = parse(seed);
  const socket = createSocket(host.includes(":") ? "udp6" : "udp4");
  try {
    socket.connect(port, host);
    await once(socket, "connect");
    return formatAddress({ host: socket.address().address, port: 0 });
  } catch (error) {
    throw new CommandError(
      EXIT.error,
      `no way to the seed at ${seed}: ${(error as Error).message}`,
    );
  } finally {
    socket.close();
  }
}
