// What must hold of a fleet at every instant: who leads, what is obeyed, what is stored and run, how much memory it
// takes. It looks at what truly is, not at what programs believe, and changes nothing.

import type { BuildRow } from "../../core/builds/build-row.ts";
import type { Journal } from "../../core/fleet/agent-journal.ts";
import { BEHIND_KEY, EPOCH_KEY } from "../../core/leadership/election.ts";
import {
  type EpochParts,
  epochOf as epochOfParts,
  incarnationOf,
  type TermPoint,
} from "../../core/leadership/epoch.ts";
import { HELD_COMMANDS_MAX } from "../../core/leadership/leader-gate.ts";
import type { Agent } from "./agent.ts";
import { CACHE_BYTES } from "./agent-packs.ts";
import { BuildChecks } from "./build-checks.ts";
import { BUILDS_PREFIX } from "./build-rows.ts";
import { type FleetWatch, type FleetWorld, SERVICE } from "./fleet-world.ts";
import { epochOf } from "./leader-link.ts";
import type { RelayCommand, Rule } from "./messages.ts";
import { SEGMENTS } from "./region-packs.ts";
import { sealKey, segmentKey } from "./relay-mirror.ts";
import { RolloutChecks } from "./rollout-checks.ts";
import { assignmentsKey, ROLLOUTS_PREFIX, type RolloutRecord, rulesOf } from "./rollout-record.ts";
import type { Write } from "./store-model.ts";
import { hold } from "./violation.ts";

/** Effects that wait for a machine's disk: a switch has a dozen. */
const QUEUED_MAX = 64;
/** Releases on a machine's disk: three that ran last, what runs, what to go back to, what comes, and slack. */
const RELEASES_MAX = 8;
/** Connections: each agent and relay has one, and one more may be on its way to its end. */
const LINES_A_PROGRAM_MAX = 4;

export class FleetChecks implements FleetWatch {
  #world: FleetWorld | undefined;
  #rollouts: RolloutChecks | undefined;
  readonly builds = new BuildChecks();
  readonly #epochs = new Map<number, string>();
  /** Highest epoch that each relay has obeyed, in all its lives. */
  readonly #obeyed = new Map<string, number>();
  /** Told of each journal that is on a machine's disk. */
  readonly onPersisted: ((agent: Agent) => void)[] = [];
  readonly #kept = new Map<ReadonlyMap<string, TermPoint>, TermPoint>();
  /** Packs of which something was deleted at the origin. */
  readonly collected = new Set<string>();
  /** The store lies about leases: two may believe, and the fence alone holds. */
  isLeaseLie = false;

  /** From now on it looks at this world. */
  watch(world: FleetWorld): void {
    this.#world = world;
    this.#rollouts = new RolloutChecks(world);
    world.origin.onRemoved = (key) => this.#removed(key);
    world.store.onCommit = (operations, by) => this.#committed(operations, by);
  }

  get rollouts(): RolloutChecks {
    if (this.#rollouts === undefined) throw new Error("it looks at no world yet");
    return this.#rollouts;
  }

  term(replica: string, epoch: number, isBegun: boolean): void {
    if (!isBegun) return;
    const other = this.#epochs.get(epoch);
    hold(other === undefined || other === replica, "one leader an epoch", () => {
      return `epoch ${epoch} is ${replica}'s and was ${other}'s`;
    });
    this.#epochs.set(epoch, replica);
  }

  obeyed(relay: string, command: RelayCommand): void {
    const epoch = epochOf(command);
    if (epoch === undefined) return;
    const highest = this.#obeyed.get(relay) ?? 0;
    hold(epoch >= highest, "a relay obeys no leader of old", () => {
      return `${relay} obeyed ${command.kind} of epoch ${epoch} after ${highest}`;
    });
    this.#obeyed.set(relay, epoch);
  }

  persisted(agent: Agent, before: Journal, after: Journal): void {
    const isReset = this.rollouts.wiped.has(agent.name) && before.epoch === 0;
    hold(isReset || !isBefore(after, before), "a machine follows no leader of old", () => {
      return `${agent.name} went from ${before.epoch}/${before.revision} to ${after.epoch}/${after.revision}`;
    });
    this.rollouts.persisted(agent, before, after);
    for (const call of this.onPersisted) call(agent);
  }

  started(agent: Agent, release: string): void {
    const stored = agent.disk.releases.get(release);
    hold(stored?.isBroken === false, "nothing unverified is run", () => {
      return `${agent.name} starts ${release}, which is ${stored === undefined ? "not there" : "broken"}`;
    });
    hold(this.rollouts.isNamed(release), "what is fetched ahead is not started", () => {
      return `${agent.name} starts ${release}, and no rollout brings it`;
    });
  }

  /** After every event. */
  look(): void {
    const world = this.#world as FleetWorld;
    let believers = 0;
    for (const one of world.controlPlanes) if (one.believes) believers += 1;
    hold(believers <= 1 || this.isLeaseLie, "one leader at a time", () => {
      const names = world.controlPlanes.filter((one) => one.believes).map(({ name }) => name);
      return names.join(" and ");
    });
    for (const { name, disk } of world.relays) this.#lookAtKept(name, disk.services);
    this.rollouts.look();
  }

  /** What a relay keeps of the service never goes back. */
  #lookAtKept(relay: string, services: ReadonlyMap<string, TermPoint>): void {
    const kept = services.get(SERVICE);
    const before = this.#kept.get(services);
    if (kept === undefined || before === kept) return;
    hold(before === undefined || !isBefore(kept, before), "a relay keeps the newest", () => {
      return `${relay} went from ${before?.epoch}/${before?.revision} to ${kept.epoch}/${kept.revision}`;
    });
    this.#kept.set(services, kept);
  }

  /** Now and then: what grows must have a bound. */
  measure(): void {
    const world = this.#world as FleetWorld;
    const { agents, relays, controlPlanes, network } = world;
    const programs = agents.length + relays.length + controlPlanes.length;
    hold(network.openCount <= LINES_A_PROGRAM_MAX * programs, "connections are bounded", () => {
      return `${network.openCount} are open`;
    });
    // What was brought to a disk for a rollout that came to nothing stays there until the next switch.
    const releasesMax = RELEASES_MAX + this.rollouts.inVain;
    for (const agent of agents) {
      hold(agent.queued <= QUEUED_MAX, "memory is bounded", () => {
        return `${agent.name} has ${agent.queued} effects to carry out`;
      });
      hold(agent.disk.releases.size <= releasesMax, "disks are bounded", () => {
        return `${agent.name} keeps ${[...agent.disk.releases.keys()].join(" ")}`;
      });
      this.#lookAtPacks(agent, world);
    }
    this.#lookAtReplicas(world);
    for (const { name, desks, heldCount, sessionCount } of relays) {
      hold(
        heldCount < HELD_COMMANDS_MAX && sessionCount <= agents.length,
        "memory is bounded",
        () => {
          return `${name} holds ${heldCount} commands and ${sessionCount} sessions`;
        },
      );
      for (const desk of desks?.desks() ?? []) {
        hold(desk.members.size <= agents.length, "memory is bounded", () => {
          return `${name} counts ${desk.members.size} machines`;
        });
      }
    }
  }

  /** What a machine has of packs: nothing is staged of those that it fetches ahead, and what it keeps for others is bounded. */
  #lookAtPacks({ name, disk, packs, process }: Agent, world: FleetWorld): void {
    for (const release of disk.releases.keys()) {
      hold(this.rollouts.isNamed(release), "what is fetched ahead is not staged", () => {
        return `${name} has ${release} on its disk, and no rollout brings it`;
      });
    }
    if (packs === undefined || !process.isUp || process.isFrozen) return;
    const needed = new Set(packs.needed);
    const idle = world.packs.heldBy(name).filter((pack) => !needed.has(pack));
    const bytes = idle.reduce((sum, pack) => sum + world.packs.bytesOf(name, pack), 0);
    hold(bytes <= CACHE_BYTES, "what is kept for others is bounded", () => {
      return `${name} keeps ${bytes} bytes of ${idle.join(" ")}`;
    });
  }

  /** What a leader takes for whole in a region is there, and is what the origin was given. */
  #lookAtReplicas(world: FleetWorld): void {
    for (const { term } of world.controlPlanes) {
      for (const region of term?.replicas.regions ?? []) {
        const store = world.regionStores.get(region);
        for (const { pack } of term?.replicas.whole(region) ?? []) {
          const keys = Array.from({ length: SEGMENTS }, (_, segment) => segmentKey(pack, segment));
          const missing = [...keys, sealKey(pack)].filter((key) => store?.peek(key) === undefined);
          hold(missing.length === 0, "a region that is whole has all", () => {
            return `${region} lacks ${missing.join(" ")}`;
          });
        }
      }
    }
  }

  #committed(operations: readonly Write[], by: number | undefined): void {
    hold(by === undefined || by === this.epoch, "no leader of old writes", () => {
      return `epoch ${by} wrote, ${this.epoch} is current`;
    });
    const key = assignmentsKey(SERVICE);
    const put = operations.find((one) => "put" in one && one.put === key);
    const rules =
      put !== undefined && "put" in put
        ? (put.value as readonly Rule[])
        : rulesOf(this.#world?.store.get(key));
    for (const operation of operations) {
      if ("put" in operation && operation.put.startsWith(BUILDS_PREFIX)) {
        const isBehind = this.#world?.store.get(BEHIND_KEY) !== undefined;
        this.builds.written(operation.value as BuildRow, isBehind);
      }
      if ("put" in operation && operation.put.startsWith(ROLLOUTS_PREFIX)) {
        const record = operation.value as RolloutRecord;
        this.rollouts.written(record);
        this.rollouts.assigned(record, rules);
      }
    }
  }

  /** A blob at the origin is deleted. */
  #removed(key: string): void {
    const pack = key.split("/")[0] as string;
    const who = this.rollouts.neededBy(pack) ?? this.builds.madeBy(pack);
    hold(who === undefined, "nothing is deleted that is needed", () => `${key}, for ${who}`);
    this.collected.add(pack);
  }

  /** The store was put back: it goes on from what it knows now, and counts epochs anew. */
  restored(): void {
    const { store } = this.#world as FleetWorld;
    this.#epochs.clear();
    const { relays } = this.#world as FleetWorld;
    const stored = store.get(assignmentsKey(SERVICE))?.modRevision ?? 0;
    const isLost = relays.every(({ disk }) => {
      const { epoch = 0, revision = 0 } = disk.services.get(SERVICE) ?? {};
      const isUnknown = incarnationOf(epoch) > incarnationOf(this.epoch) && revision !== stored;
      return isUnknown || revision > stored;
    });
    if (isLost) this.rollouts.standStill(Math.max(...this.#obeyed.values()));
    else this.rollouts.broughtBack(this.epoch);
    this.builds.restored(store.range(BUILDS_PREFIX).map(({ value }) => value as BuildRow));
    this.rollouts.restored(store.range(ROLLOUTS_PREFIX).map(({ value }) => value as RolloutRecord));
  }

  /** The epoch as it is written now. */
  get epoch(): number {
    const parts = this.#world?.store.get(EPOCH_KEY)?.value as EpochParts | undefined;
    return parts === undefined ? 0 : epochOfParts(parts);
  }
}

/** Told here apart from what decides. */
function isBefore(one: TermPoint, other: TermPoint): boolean {
  return one.epoch < other.epoch || (one.epoch === other.epoch && one.revision < other.revision);
}
