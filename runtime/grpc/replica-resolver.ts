// Finds the addresses of several replicas, given by name or by address, for a gRPC channel: it goes to the first
// that answers, and to another when that one is lost. grpc-js itself takes several only as IP addresses.
import { lookup } from "node:dns/promises";
import { experimental, Metadata, status } from "@grpc/grpc-js";
import { formatAddress, type ListenAddress, parseAddress } from "../listen-address.ts";

/** What targets begin with that are resolved here. */
export const REPLICAS_SCHEME = "replicas";

/** Between two look-ups: a channel asks for one whenever it has lost a connection. */
const LOOKUP_MS_MIN = 1_000;
/** Addresses taken of one name. */
const ADDRESSES_MAX = 8;

/** Resolves `replicas:host:port,host:port`; names that lead nowhere are left out as long as one does. */
class ReplicaResolver implements experimental.Resolver {
  readonly #replicas: readonly ListenAddress[];
  readonly #listener: experimental.ResolverListener;
  #isLooking = false;
  #nextAt = Number.NEGATIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;

  constructor(target: experimental.GrpcUri, listener: experimental.ResolverListener) {
    this.#replicas = target.path.split(",").map(parseAddress);
    this.#listener = listener;
  }

  updateResolution(): void {
    if (this.#isLooking) return;
    this.#isLooking = true;
    const waitMs = Math.max(0, this.#nextAt - performance.now());
    this.#timer = setTimeout(() => void this.#look(), waitMs);
  }

  destroy(): void {
    clearTimeout(this.#timer);
    this.#isLooking = false;
  }

  static getDefaultAuthority(target: experimental.GrpcUri): string {
    return target.path.split(",")[0] ?? "";
  }

  async #look(): Promise<void> {
    this.#nextAt = performance.now() + LOOKUP_MS_MIN;
    const found = await Promise.allSettled(this.#replicas.map(endpointOf));
    // Destroyed meanwhile: nobody listens.
    if (!this.#isLooking) return;
    this.#isLooking = false;
    const endpoints = found.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
    if (endpoints.length > 0) {
      this.#listener(experimental.statusOrFromValue(endpoints), {}, null, "");
      return;
    }
    const names = this.#replicas.map(formatAddress).join(", ");
    const details = `none of ${names} has an address: ${reasonOf(found[0])}`;
    const failure = { code: status.UNAVAILABLE, details, metadata: new Metadata() };
    this.#listener(experimental.statusOrFromError(failure), {}, null, "");
  }
}

/** Has channels know the scheme. */
export function registerReplicaResolver(): void {
  experimental.registerResolver(REPLICAS_SCHEME, ReplicaResolver);
}

async function endpointOf({ host, port }: ListenAddress): Promise<experimental.Endpoint> {
  const addresses = await lookup(host, { all: true });
  return {
    addresses: addresses.slice(0, ADDRESSES_MAX).map(({ address }) => ({ host: address, port })),
  };
}

function reasonOf(result: PromiseSettledResult<unknown> | undefined): string {
  return result?.status === "rejected" ? String((result.reason as Error).message) : "";
}
