// Faults of control planes, of their store, and of the network between programs.
import type { ControlPlane } from "./control-plane.ts";
import type { Fault } from "./fault.ts";
import type { Scene } from "./scene.ts";
import type { StoreWeather } from "./store-client.ts";
import type { FailPoint } from "./term-host.ts";

const POINTS: readonly FailPoint[] = ["before-txn", "after-txn", "before-send", "after-send"];

/** Of a clock's speed: far more than quartz, and less than the sixth that a lease leaves. */
const DRIFT_MAX = 0.05;

export const CLUSTER_FAULTS: readonly Fault[] = [
  {
    row: 1,
    what: "the leader is killed at a named place",
    strike: (scene) => {
      const times = Math.floor(scene.random() * 4);
      scene.world.failPoints.set(scene.pick(POINTS), times);
      scene.reviveSoon(() => scene.world.controlPlanes);
    },
  },
  {
    row: 1,
    what: "the leader is killed at any moment",
    strike: (scene) => {
      leaderOf(scene).kill();
      scene.reviveSoon(() => scene.world.controlPlanes);
    },
  },
  {
    row: 2,
    what: "the leader stands still for longer than its lease",
    strike: (scene) => leaderOf(scene).process.freeze(scene.between(2_000, 12_000)),
  },
  {
    row: 3,
    what: "a lease has ended, and is confirmed all the same",
    strike: (scene) => {
      scene.checks.isLeaseLie = true;
      const { storeWeather, store, relays } = scene.world;
      // The watch, too, says nothing of it for a while.
      Object.assign(storeWeather, { confirmsAll: true, lateEventMs: 10_000 });
      for (const lease of store.leases) store.revoke(lease);
      for (const ms of [1_500, 3_000, 4_500, 6_000]) {
        scene.at(scene.now + ms, () => {
          for (const relay of relays) if (scene.random() < 0.5) relay.loseLeader();
        });
      }
      scene.at(scene.now + scene.between(6_000, 12_000), () => {
        Object.assign(storeWeather, { confirmsAll: false, lateEventMs: 0 });
      });
    },
  },
  {
    row: 4,
    what: "the store answers nobody for a while",
    strike: (scene) => weather(scene, { isAway: true }, 300, 8_000),
  },
  {
    row: 4,
    what: "writes happen and are not answered, or happen late",
    strike: (scene) => {
      const shares = { unknownShare: scene.random() * 0.3, lateShare: scene.random() * 0.2 };
      weather(scene, shares, 5_000, 60_000);
    },
  },
  {
    row: 5,
    what: "events of watches come twice, late, or are lost with their history",
    strike: (scene) => {
      const events = { repeatShare: scene.random(), lateEventMs: scene.random() * 3_000 };
      weather(scene, events, 10_000, 60_000);
      scene.world.store.compact();
    },
  },
  {
    row: 6,
    what: "programs are cut off from each other, in one direction or in both",
    strike: (scene) => partition(scene),
  },
  {
    row: 6,
    what: "a control plane is cut off from the store, or gets no answers",
    strike: (scene) => {
      const isLeader = scene.random() < 0.7;
      const { way } = (isLeader ? leaderOf(scene) : scene.pick(scene.world.controlPlanes)).store;
      const kind = scene.pick(["isCut", "isMute"] as const);
      way[kind] = true;
      scene.at(scene.now + scene.between(1_000, 30_000), () => {
        way[kind] = false;
      });
    },
  },
  {
    row: 7,
    what: "some links clog, again and again",
    strike: (scene) => {
      for (let turn = 0; turn < 8; turn += 1) {
        scene.at(scene.now + scene.between(0, 30_000), () => clogSome(scene));
      }
    },
  },
  {
    row: 8,
    what: "packets are lost, late, and come twice",
    strike: (scene) => {
      const { weather: links } = scene.world.network;
      links.lossShare = scene.random() * 0.3;
      links.repeatShare = scene.random() * 0.5;
      links.delayMs = scene.between(1, 300);
      scene.at(scene.now + scene.between(10_000, 60_000), () => {
        Object.assign(links, { lossShare: 0, repeatShare: 0, delayMs: 1 });
      });
    },
  },
  {
    row: 11,
    what: "a wall clock jumps, drifts, or goes to and fro",
    strike: (scene) => {
      const { wallErrorMs } = scene.world;
      for (const { name } of scene.world.controlPlanes) {
        wallErrorMs.set(name, scene.between(-300_000, 300_000));
        const isStrobe = scene.random() < 0.3;
        for (let turn = 1; isStrobe && turn < 10; turn += 1) {
          scene.at(scene.now + turn * 3_000, () =>
            wallErrorMs.set(name, -(wallErrorMs.get(name) ?? 0)),
          );
        }
      }
    },
  },
  {
    row: 11,
    what: "monotonic clocks count up to a twentieth too fast or too slow",
    strike: (scene) => {
      const { controlPlanes, relays, agents, workers } = scene.world;
      for (const { process } of [...controlPlanes, ...relays, ...agents, ...workers]) {
        process.clock.drift(scene.between(1 - DRIFT_MAX, 1 + DRIFT_MAX));
      }
    },
  },
  {
    row: 16,
    what: "the store's disk takes a second for each write",
    strike: (scene) => weather(scene, { diskMs: scene.between(300, 1_500) }, 5_000, 40_000),
  },
];

/** Who leads, or else anybody. */
function leaderOf(scene: Scene): ControlPlane {
  return scene.world.leader ?? scene.pick(scene.world.controlPlanes);
}

function weather(scene: Scene, change: Partial<StoreWeather>, least: number, most: number): void {
  const { storeWeather } = scene.world;
  Object.assign(storeWeather, change);
  const fair = Object.keys(change).map((name) => [name, name === "isAway" ? false : 0]);
  scene.at(scene.now + scene.between(least, most), () =>
    Object.assign(storeWeather, Object.fromEntries(fair)),
  );
}

function partition(scene: Scene): void {
  const { controlPlanes, relays, network } = scene.world;
  const names = [...controlPlanes, ...relays].map(({ name }) => name);
  const isInside = new Map(names.map((name) => [name, scene.random() < 0.5]));
  const until = scene.now + scene.between(1_000, 30_000);
  const isOneWay = scene.random() < 0.3;
  for (const one of names) {
    for (const other of names) {
      if (isInside.get(one) !== true || isInside.get(other) === true) continue;
      network.cut(one, other, until);
      if (!isOneWay) network.cut(other, one, until);
    }
  }
}

function clogSome(scene: Scene): void {
  const { relays, agents, controlPlanes, network, packs } = scene.world;
  for (let count = 0; count < 6; count += 1) {
    const relay = scene.pick(relays);
    const other = scene.random() < 0.3 ? scene.pick(controlPlanes) : scene.pick(agents);
    const until = scene.now + scene.between(500, 10_000);
    network.cut(relay.name, other.name, until);
    network.cut(other.name, relay.name, until);
    packs.clog(relay.name, other.name, until);
  }
}
