// Faults of machines and relays: of their disks, of their links to each other, of their lives.
import { activeKey } from "../../core/rollout/service-turns.ts";
import type { Conduct } from "../conduct.ts";
import type { Agent } from "./agent.ts";
import type { Fault } from "./fault.ts";
import { SERVICE } from "./fleet-world.ts";
import { putBack } from "./put-back.ts";
import { BAD_AT_ONCE, deployBad } from "./release-faults.ts";
import type { Scene } from "./scene.ts";

/** How often it is looked for a moment at which no rollout is open, and for how long. */
const REST_LOOK_MS = 500;
const REST_MS_MAX = 60_000;
/** Long enough for a rollout to come to its end, or not. */
const FORGOTTEN_MS_MAX = 60_000;
/** Then the leader is told to go on, and what it is asked for next has begun. */
const AFTERWARDS_MS_MAX = 90_000;

const CONDUCTS: readonly Conduct[] = ["corrupt", "mute", "liar", "staller", "flooder", "leech"];

export const MACHINE_FAULTS: readonly Fault[] = [
  {
    row: 9,
    what: "bytes turn around on the wire between peers",
    strike: (scene) => {
      scene.world.packs.flippedShare = scene.random() * 0.3;
      scene.at(scene.now + scene.between(10_000, 60_000), () => {
        scene.world.packs.flippedShare = 0;
      });
    },
  },
  {
    row: 10,
    what: "a relay or a machine is slow to hear and to be heard",
    strike: (scene) => {
      const { network, packs, relays, agents } = scene.world;
      const slow = scene.pick([...relays, ...agents]);
      network.slow(slow.name, scene.between(200, 4_000));
      for (const { name } of scene.world.agents) {
        packs.clog(slow.name, name, scene.now + scene.between(1_000, 25_000));
      }
      scene.at(scene.now + scene.between(5_000, 40_000), () => network.slow(slow.name, 0));
    },
  },
  {
    row: 12,
    what: "disks are full for a while",
    strike: (scene) => {
      const disks = [
        scene.pick(scene.world.relays).disk,
        ...some(scene, 10).map((one) => one.disk),
      ];
      for (const disk of disks) disk.isFull = true;
      const store = scene.pick([...scene.world.regionStores.values()]);
      store.weather.roomBytes = 100;
      scene.at(scene.now + scene.between(5_000, 40_000), () => {
        for (const disk of disks) disk.isFull = false;
        store.weather.roomBytes = Number.POSITIVE_INFINITY;
      });
    },
  },
  {
    row: 13,
    what: "machines lose their power, and what was not on their disks yet",
    strike: (scene) => {
      for (const agent of some(scene, 6)) agent.cutPower();
      scene.reviveSoon(() => scene.world.agents);
    },
  },
  {
    row: 14,
    what: "pieces rot where they lie",
    strike: (scene) => rotPieces(scene),
  },
  {
    row: 15,
    what: "a store gives the content of another place",
    strike: (scene) => {
      for (const store of scene.world.regionStores.values()) {
        const key = scene.pick(store.keys);
        if (key !== undefined) store.rot(key, "of another place");
      }
      rotPieces(scene);
    },
  },
  {
    row: 16,
    what: "machines' disks take a second for each write",
    strike: (scene) => {
      const slow = some(scene, 15);
      for (const { disk } of slow) disk.syncMs = scene.between(200, 1_000);
      scene.at(scene.now + scene.between(5_000, 40_000), () => {
        for (const { disk } of slow) disk.syncMs = 2;
      });
    },
  },
  {
    row: 23,
    what: "relays are killed, or restarted one by one",
    strike: (scene) => {
      const { relays } = scene.world;
      if (scene.random() < 0.5) scene.pick(relays).kill();
      else {
        relays.forEach((relay, turn) => {
          scene.at(scene.now + turn * 8_000, () => relay.drain());
        });
      }
      scene.reviveSoon(() => relays, 5);
    },
  },
  {
    row: 23,
    what: "relays are killed while their machines switch",
    strike: (scene) => {
      let left = 4;
      const until = scene.now + 60_000;
      scene.onPersisted(({ region, disk }) => {
        const isBeginning = disk.journal.switching?.direction === "forward";
        if (left === 0 || scene.now > until || !isBeginning || scene.random() < 0.8) return;
        left -= 1;
        const relay = scene.pick(scene.world.relaysOf(region));
        scene.breakAt(scene.now + scene.random() * 400, () => relay.kill());
        scene.at(scene.now + scene.between(500, 2_000), () => {
          if (!relay.process.isUp) relay.start();
        });
      });
    },
  },
  {
    row: 24,
    what: "all machines lose their relays at once",
    strike: (scene) => {
      for (const relay of scene.world.relays) relay.dropAgents();
    },
  },
  {
    row: 25,
    what: "agents are killed while they switch",
    strike: (scene) => {
      let left = 8;
      const until = scene.now + 40_000;
      scene.onPersisted((agent) => {
        if (left === 0 || scene.now > until || scene.random() < 0.6) return;
        left -= 1;
        const isPower = scene.random() < 0.3;
        scene.breakAt(scene.now + scene.random() * 400, () => {
          if (isPower) agent.cutPower();
          else agent.kill();
        });
      });
      scene.reviveSoon(() => scene.world.agents, 8);
    },
  },
  {
    row: 27,
    what: "nothing is heard of a tenth of the machines",
    strike: (scene) => {
      const { network, relays } = scene.world;
      const until = scene.now + scene.between(5_000, 60_000);
      for (const { name } of some(scene, 5)) {
        for (const relay of relays) network.cut(name, relay.name, until);
      }
    },
  },
  {
    row: 30,
    what: "those with the most pieces leave",
    strike: (scene) => {
      const region = scene.pick(["east", "west"]);
      for (const relay of scene.world.relaysOf(region)) relay.kill();
      for (const agent of some(scene, 5)) agent.kill();
      scene.reviveSoon(() => [...scene.world.relays, ...scene.world.agents], 3);
    },
  },
  {
    row: 31,
    what: "three of ten peers misbehave",
    strike: (scene) => {
      const { hostiles } = scene.world;
      if (hostiles.length > 0) return;
      for (let index = 0; index < 20; index += 1) {
        const region = index % 2 === 0 ? "east" : "west";
        const conduct = CONDUCTS[index % CONDUCTS.length];
        if (conduct !== undefined) hostiles.push({ name: `h${index}`, region, conduct });
      }
    },
  },
  {
    row: 32,
    what: "the store is put back to a backup",
    strike: (scene) => {
      const backup = scene.world.store.backup();
      scene.at(scene.now + scene.between(1_000, 25_000), () => putBack(scene, backup));
    },
  },
  {
    row: 32,
    what: "the store is put back to a backup that knows of no open rollout",
    strike: (scene) => {
      scene.ail(REST_MS_MAX + FORGOTTEN_MS_MAX + AFTERWARDS_MS_MAX);
      forgetRollout(scene, scene.now + REST_MS_MAX);
    },
  },
  {
    row: 32,
    what: "machines are replaced by empty ones of the same name",
    strike: (scene) => {
      for (const agent of some(scene, 4)) {
        agent.kill();
        agent.disk.wipe();
        scene.checks.rollouts.wiped.add(agent.name);
        losePieces(scene, agent);
      }
      scene.reviveSoon(() => scene.world.agents);
    },
  },
];

/** So many agents by chance. */
function some(scene: Scene, count: number): Agent[] {
  return Array.from({ length: count }, () => scene.pick(scene.world.agents));
}

/** A backup that is made when all is quiet, as most are; what is rolled out after that is lost. */
function forgetRollout(scene: Scene, until: number): void {
  if (scene.now > until) return;
  const { store } = scene.world;
  if (store.get(activeKey(SERVICE)) !== undefined) {
    scene.at(scene.now + REST_LOOK_MS, () => forgetRollout(scene, until));
    return;
  }
  const backup = store.backup();
  const ageMs = scene.between(5_000, FORGOTTEN_MS_MAX);
  scene.at(scene.now + ageMs, () => {
    putBack(scene, backup);
    comeToNothing(scene);
  });
  const key = scene.newKey("forgotten");
  const release = scene.release(key);
  scene.deploy({ key, release, policy: scene.drawPolicy(), supersede: false });
}

/** What is rolled out next is bad, or is taken back by hand. */
function comeToNothing(scene: Scene): void {
  scene.at(scene.now + scene.between(5_000, 30_000), () => {
    if (scene.random() < 0.5) {
      deployBad(scene, 1, scene.pick(BAD_AT_ONCE));
      return;
    }
    const key = scene.newKey("again");
    const release = scene.release(key);
    scene.deploy({ key, release, policy: scene.drawPolicy(), supersede: false });
    for (let turn = 0; turn < 3; turn += 1) {
      scene.at(scene.now + scene.between(1_000, 50_000), () =>
        scene.tellAny("rolled-back-by-hand"),
      );
    }
  });
}

function rotPieces(scene: Scene): void {
  const { packs } = scene.world;
  for (const peer of packs.world.peers.values()) {
    const isSpared = scene.random() < 0.7 || peer.plan.conduct !== undefined;
    const pieces = peer.held.pieces();
    if (isSpared || pieces.length === 0 || !peer.isUp) continue;
    if (peer.plan.role === "agent") packs.world.lose(peer, scene.pick(pieces));
  }
  for (const [, store] of scene.world.regionStores) {
    for (const key of store.keys) if (scene.random() < 0.2) store.rot(key, "rotten");
  }
}

function losePieces(scene: Scene, agent: Agent): void {
  const { world } = scene.world.packs;
  for (const peer of world.peers.values()) {
    if (!peer.id.startsWith(`${agent.name}/`)) continue;
    for (const piece of peer.held.pieces()) world.lose(peer, piece);
  }
}
