// Puts the leader's side of the fleet together, for one term:
//   const fleet = await createFleet({ store, fence, storeName, log, now });
//   serve fleet.relayService (RelayService); give fleet.packFeed to the builds side;
//   pass fleet to createRollouts(), then serve fleet.fleetService(overview) and call fleet.ready();
//   at the term's end fleet.close(). `onBehind` tells that a relay has seen what the store does not know.
import type { Instant } from "../../core/machine.ts";
import type {
  FleetServiceServer,
  RelayHello,
  RelayServiceServer,
} from "../../proto/gen/millrace/v1/fleet.ts";
import type { Log } from "../../runtime/log.ts";
import type { Store } from "../../runtime/store/store.ts";
import type { PackFeed } from "../builds/pack-feed.ts";
import type { Fence } from "../fence.ts";
import { foreignStore, type StoreName } from "../leadership/store-name.ts";
import { AgentDirectory } from "./agent-directory.ts";
import { createFleetService, type Overview } from "./fleet-service.ts";
import { RelayHub } from "./relay-hub.ts";
import { createRelayService } from "./relay-service.ts";
import { UsesDirectory } from "./releases-in-use.ts";
import { ReplicationTracker } from "./replication-tracker.ts";

export interface FleetOptions {
  readonly store: Store;
  readonly fence: Fence;
  readonly storeName: StoreName;
  readonly log: Log;
  /** The process's monotonic clock. */
  readonly now: () => Instant;
  /** A relay has seen what this store has lost, or another leader is ahead: stop deciding. */
  readonly onBehind?: (hello: RelayHello) => void;
}

export interface Fleet {
  readonly hub: RelayHub;
  readonly tracker: ReplicationTracker;
  readonly directory: AgentDirectory;
  readonly packFeed: PackFeed;
  readonly relayService: RelayServiceServer;
  readonly uses: UsesDirectory;
  fleetService(overview: Overview): FleetServiceServer;
  /** Calls back whenever a region holds more, or less, than before. */
  onReplication(changed: () => void): void;
  /** Everything that relays must be told has been read: takes their streams from now on. */
  ready(): void;
  close(): void;
}

/** Reads what is known of relays and regions; relays are refused until `ready`. */
export async function createFleet(options: FleetOptions): Promise<Fleet> {
  const { log, onBehind } = options;
  const changed: (() => void)[] = [];
  const onChange = (): void => {
    for (const callback of changed) callback();
  };
  const tracker = new ReplicationTracker({ ...options, onChange });
  const hub = new RelayHub({ ...options, storeName: options.storeName.name, tracker });
  const directory = new AgentDirectory(hub);
  const uses = new UsesDirectory(hub, options.now);
  await Promise.all([tracker.load(), hub.load()]);
  let isReady = false;
  let isBehind = false;
  const relayService = createRelayService({
    hub,
    directory,
    uses,
    log,
    foreignStore: (said) => foreignStore(options.storeName, said),
    isReady: () => isReady && !isBehind && options.fence.holds(),
    onBehind: (hello) => {
      // Of all that say so the first is enough.
      if (isBehind) return;
      isBehind = true;
      const { relay, epoch, revision } = hello;
      log.error({ relay, epoch, revision, own: hub.term }, "a relay has seen a later state");
      hub.close();
      onBehind?.(hello);
    },
  });
  return {
    hub,
    tracker,
    directory,
    packFeed: hub.packs,
    relayService,
    uses,
    fleetService: (overview) => createFleetService({ hub, tracker, directory, overview, log }),
    onReplication: (callback) => void changed.push(callback),
    ready: () => {
      isReady = true;
    },
    close: () => {
      tracker.close();
      hub.close();
    },
  };
}
