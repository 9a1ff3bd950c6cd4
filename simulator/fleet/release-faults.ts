// Faults of releases, of what operators ask, and of the stores that packs lie in.
import type { Fault } from "./fault.ts";
import type { Fate } from "./machine-disk.ts";
import type { Scene } from "./scene.ts";

/** Longer than two checks take that are missed. */
const WATCHED_MS = 45_000;
/** Nothing takes its place for so long: two waves are watched, after others have had their turn. */
const SICK_MS = 240_000;

/** A mark waits for half an hour. */
const COLLECTED_MS = 2 * 3_600_000;
const COMING_AND_GOING = 8;
/** A region that cannot be written to, from an evening to the morning. */
const OUTAGE_MS = 12 * 3_600_000;
const OUTAGE_RELEASES = 4;

export const BAD_AT_ONCE: readonly Fate[] = [{ kind: "crashes" }, { kind: "hangs" }];
const BAD_LATER: readonly Fate[] = [
  { kind: "dies-later", afterMs: 4_000 },
  { kind: "sickens", afterMs: 4_000 },
];

export const RELEASE_FAULTS: readonly Fault[] = [
  {
    row: 21,
    what: "blobs are stored and the answer is lost, or uploads break",
    strike: (scene) => {
      for (const { weather } of scene.world.regionStores.values()) {
        weather.lostPutShare = scene.random() * 0.6;
        weather.brokenPutShare = scene.random() * 0.4;
      }
    },
  },
  {
    row: 21,
    what: "the origin says 503 for a while",
    strike: (scene) => {
      const { weather } = scene.world.origin;
      weather.isAway = true;
      scene.at(scene.now + scene.between(2_000, 40_000), () => {
        weather.isAway = false;
      });
    },
  },
  {
    row: 22,
    what: "a region's store lags, or takes nothing",
    strike: (scene) => {
      const { weather } = scene.pick([...scene.world.regionStores.values()]);
      if (scene.random() < 0.5) weather.isAway = true;
      else weather.delayMs = scene.between(1_000, 8_000);
    },
  },
  {
    row: 21,
    what: "releases come and go for hours, while packs are collected and the leader dies of it",
    oneIn: 3,
    strike: (scene) => {
      scene.ail(COLLECTED_MS);
      const later = (): number => scene.now + scene.between(0, COLLECTED_MS);
      for (let turn = 0; turn < COMING_AND_GOING; turn += 1) {
        scene.at(later(), () => {
          const key = scene.newKey("hourly");
          // One that is new, or one of before that may be gone.
          const good = scene.releases.filter(({ release }) => !scene.world.fates.has(release));
          const known = scene.random() < 0.5 ? [] : good;
          const release = known.length === 0 ? scene.release(key) : scene.pick(known);
          scene.deploy({ key, release, policy: scene.drawPolicy(), supersede: false });
        });
        scene.at(later(), () => {
          scene.world.failPoints.set(scene.pick(["before-txn", "after-txn"]), 0);
          scene.reviveSoon(() => scene.world.controlPlanes, 3);
        });
      }
    },
  },
  {
    row: 22,
    what: "a region's store takes nothing for twelve hours",
    oneIn: 8,
    strike: (scene) => {
      const { regionStores } = scene.world;
      const region = scene.pick([...regionStores.keys()]);
      const store = regionStores.get(region);
      if (store === undefined) return;
      store.weather.isAway = true;
      scene.ail(OUTAGE_MS);
      // Some wait for it in vain, some leave it out.
      for (let turn = 0; turn < OUTAGE_RELEASES; turn += 1) {
        scene.at(scene.now + scene.between(0, OUTAGE_MS), () => {
          const key = scene.newKey("meanwhile");
          const request = { key, release: scene.release(key), policy: scene.drawPolicy() };
          const excludedRegions = scene.random() < 0.5 ? [region] : [];
          scene.deploy({ ...request, supersede: false, excludedRegions });
        });
      }
    },
  },
  {
    row: 26,
    what: "a release is bad at once: it crashes or hangs",
    strike: (scene) => deployBad(scene, scene.random() < 0.7 ? 1 : 0.3, scene.pick(BAD_AT_ONCE)),
  },
  {
    row: 26,
    what: "a release is bad only later: it ends or answers its checks no more",
    strike: (scene) => {
      scene.ail(SICK_MS);
      deployBad(scene, scene.random() < 0.7 ? 1 : 0.3, scene.pick(BAD_LATER));
    },
  },
  {
    row: 28,
    what: "a release is bad, and what machines would go back to is gone",
    strike: (scene) => {
      deployBad(scene, 1, scene.pick([...BAD_AT_ONCE, ...BAD_LATER]));
      const until = scene.now + 60_000;
      scene.onPersisted((agent) => {
        const { disk } = agent;
        const { switching } = disk.journal;
        if (scene.now > until || scene.random() < 0.7) return;
        if (switching?.direction !== "undo" || switching.from === undefined) return;
        const { release } = switching.from;
        agent.kill();
        disk.running.delete(release);
        disk.releases.delete(release);
      });
      scene.reviveSoon(() => scene.world.agents, 6);
    },
  },
  {
    row: 29,
    what: "two operators start from one plan",
    strike: (scene) => {
      const plannedAt = scene.planRevision;
      // A service that was never rolled out has no revision to plan with.
      if (plannedAt === 0) return;
      const key = scene.newKey("two");
      for (const side of ["left", "right"]) {
        const release = scene.release(`${key}-${side}`);
        const policy = scene.drawPolicy();
        const request = { key: `${key}-${side}`, release, policy, supersede: false };
        scene.deploy(request, plannedAt);
      }
      scene.rivals.push([`${key}-left`, `${key}-right`]);
    },
  },
  {
    row: 29,
    what: "operators pause, resume, abort and take back what others began",
    strike: (scene) => {
      const key = scene.newKey("again");
      const supersede = scene.random() < 0.5;
      const release = scene.release(key);
      scene.deploy({ key, release, policy: scene.drawPolicy(), supersede });
      for (const kind of ["paused", "resumed", "aborted", "rolled-back-by-hand"] as const) {
        if (scene.random() < 0.5) continue;
        scene.at(scene.now + scene.between(1_000, 40_000), () => scene.tellAny(kind));
      }
    },
  },
];

/** A release that is bad on a share of the machines. */
export function deployBad(scene: Scene, share: number, fate: Fate): void {
  const key = scene.newKey("bad");
  const bad = scene.world.agents.filter(() => scene.random() < share).map(({ name }) => name);
  const release = scene.release(key);
  scene.makeBad(key, new Set(bad), fate);
  const supersede = scene.random() < 0.5;
  const policy = scene.drawPolicy();
  // It is watched for long enough that what is bad soon after is seen.
  const waves = policy.waves.map((wave) => ({ ...wave, bakeMs: WATCHED_MS }));
  scene.deploy({ key, release, policy: { ...policy, waves }, supersede });
}
