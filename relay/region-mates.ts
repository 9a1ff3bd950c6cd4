// The other relays of the region, and which of them share our region store: each relay leaves a mark in
// the store it uses, and whose mark is not in ours has another.
import type { Neighbour, RelayInfo } from "../proto/gen/millrace/v1/fleet.ts";
import type { BlobStore } from "../runtime/blobs/blob-store.ts";
import type { Log } from "../runtime/log.ts";
import type { Introduction } from "../runtime/peer/swarm.ts";

export interface RegionMatesOptions {
  readonly relayId: string;
  readonly swarmAddress: string;
  /** Whether our own peer can be called. */
  readonly isCallable: boolean;
  readonly region: BlobStore;
  readonly log: Log;
  /** Ids of all live relays, ours too, and those whose region store is not ours. */
  readonly onChange: (relays: readonly string[], apart: readonly Introduction[]) => void;
}

/** The live relays of a region as one of them sees them. */
export class RegionMates {
  readonly #options: RegionMatesOptions;
  readonly #sharing = new Set<string>();
  #others: readonly RelayInfo[] = [];
  #isMarked = false;

  constructor(options: RegionMatesOptions) {
    this.#options = options;
  }

  /** The other relays. */
  get others(): readonly RelayInfo[] {
    return this.#others;
  }

  /** All relays as peers, ours first. */
  get neighbours(): readonly Neighbour[] {
    const { relayId, swarmAddress, isCallable } = this.#options;
    const others = this.#others.map(({ id, swarmAddress: address }) => ({
      peer: id,
      address,
      relay: true,
      // Its own agents call it; ours have us.
      callable: false,
    }));
    const own = { peer: relayId, address: swarmAddress, relay: true, callable: isCallable };
    return [own, ...others];
  }

  /** Leaves our mark in the region's store; where that fails it is tried again with the next change. */
  async mark(): Promise<void> {
    if (this.#isMarked) return;
    const { relayId, region, log } = this.#options;
    try {
      await region.put(markKey(relayId), new TextEncoder().encode(`${relayId}\n`));
      this.#isMarked = true;
    } catch (error) {
      log.warn({ err: error }, "could not leave a mark in the region's store");
    }
  }

  /** Takes the relays that are online now. */
  async told(relays: readonly RelayInfo[]): Promise<void> {
    const { relayId } = this.#options;
    const others = relays.filter(({ id }) => id !== relayId);
    this.#others = others;
    await this.mark();
    const unknown = others.filter(({ id }) => !this.#sharing.has(id));
    await Promise.all(unknown.map(({ id }) => this.#check(id)));
    if (this.#others !== others) return;
    const apart = others.filter(({ id }) => !this.#sharing.has(id));
    this.#options.onChange(
      [relayId, ...others.map(({ id }) => id)],
      apart.map(({ id, swarmAddress }) => ({ peerId: id, address: swarmAddress, role: "relay" })),
    );
  }

  /** A store that cannot be asked counts as shared: a segment that does not come is taken over. */
  async #check(id: string): Promise<void> {
    const { region, log } = this.#options;
    try {
      if ((await region.head(markKey(id))) !== undefined) this.#sharing.add(id);
    } catch (error) {
      log.warn({ err: error, relay: id }, "could not tell whether a relay shares the store");
      this.#sharing.add(id);
    }
  }
}

function markKey(relayId: string): string {
  return `relays/${relayId}`;
}
