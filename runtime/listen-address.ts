// Addresses that programs listen on. Until identity is built, a listener refuses anything but loopback
// unless it is told `--insecure`: whoever reaches `build.run` runs code here.
import { isIP } from "node:net";

export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

/** A bad address, or one that may not be listened on. */
export class AddressError extends Error {
  override readonly name = "AddressError";
}

/** Parses "host:port" or "[v6]:port"; throws AddressError naming what is wrong. */
export function parseAddress(text: string): ListenAddress {
  const match = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (host === undefined || port > 65_535) {
    throw new AddressError(`address "${text}": expected host:port, as in 127.0.0.1:7070`);
  }
  return { host, port };
}

/** Text form of an address, IPv6 in brackets. */
export function formatAddress(address: ListenAddress): string {
  const host = address.host.includes(":") ? `[${address.host}]` : address.host;
  return `${host}:${address.port}`;
}

/** Parses an address to listen on; throws AddressError unless it is loopback or `insecure`. */
export function listenAddress(text: string, insecure: boolean): ListenAddress {
  const address = parseAddress(text);
  if (!insecure && !isLoopback(address.host)) {
    throw new AddressError(
      `refusing to listen on ${text}: nothing here is authenticated yet, and whoever reaches it can ` +
        "run commands; use a loopback address, or pass --insecure on a network you trust",
    );
  }
  return address;
}

function isLoopback(host: string): boolean {
  if (host === "localhost" || host === "::1") return true;
  return isIP(host) === 4 && host.startsWith("127.");
}
