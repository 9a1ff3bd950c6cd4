// Planted bugs: what a search text in a file becomes. The fleet's fault swarm must find nearly all of them, or its
// checks are blind. Each is a slip that somebody could make, in what production decides or in what the models rely on.

export interface Mutant {
  readonly name: string;
  readonly file: string;
  /** Stands in the file exactly once. */
  readonly search: string;
  readonly replace: string;
}

export const MUTANTS: readonly Mutant[] = [
  // Leadership and fencing.
  {
    name: "a leader does not stop by its own clock",
    file: "core/leadership/campaign.ts",
    search: 'return this.#state.name === "leading" && now < this.#state.until;',
    replace: 'return this.#state.name === "leading";',
  },
  {
    name: "a confirmation counts for four times as long",
    file: "core/leadership/campaign.ts",
    search: "return askedAt + this.#times.ttlMs - this.#times.marginMs;",
    replace: "return askedAt + 4 * this.#times.ttlMs;",
  },
  {
    name: "a place is taken that somebody has",
    file: "core/leadership/election.ts",
    search: '      { key: LEADER_KEY, is: "absent" },\n',
    replace: "",
  },
  {
    name: "an election does not raise the epoch",
    file: "core/leadership/election.ts",
    search: "counter: counter + 1",
    replace: "counter: Math.max(1, counter)",
  },
  {
    name: "the fence compares nothing",
    file: "core/leadership/election.ts",
    search: "return { key: EPOCH_KEY, modRevision: revision };",
    replace: 'return { key: "no-such-key", modRevision: 0 * revision };',
  },
  {
    name: "a relay keeps no epoch that it raised",
    file: "core/leadership/leader-gate.ts",
    search: "this.#epoch = Math.max(this.#epoch, epoch);",
    replace: "",
  },
  {
    name: "a relay takes assignments of old",
    file: "core/leadership/epoch.ts",
    search:
      "return one.epoch === other.epoch ? one.revision < other.revision : one.epoch < other.epoch;",
    replace: "return one.epoch > other.epoch + other.revision * 1e9;",
  },
  {
    name: "a store that was put back is taken for what it was",
    file: "core/leadership/epoch.ts",
    search: "return isSameHistory && seen.revision >= elected.revision;",
    replace: "return isSameHistory && seen.revision > elected.revision + 1e9;",
  },
  {
    name: "machines follow the older orders of a store that was put back",
    file: "core/rollout/kept-service.ts",
    search: 'phase: entry.phase === "final" ? "frozen" : entry.phase, before };',
    replace: "before };",
  },
  {
    name: "a rollout that comes to nothing lets machines go back whose orders were lost",
    file: "core/rollout/assignment-rules.ts",
    search: 'return before.entry.phase === "frozen" ? { ...before.entry, before } : before.entry;',
    replace: 'return { ...before.entry, phase: "final" };',
  },
  // What rollouts decide.
  {
    name: "permits that are held are not counted",
    file: "core/rollout/gate.ts",
    search: "together - permits.held - failed)",
    replace: "together - failed)",
  },
  {
    name: "twice as many may be out",
    file: "core/rollout/bounds.ts",
    search: "return Math.max(1, Math.min(unavailable, failures));",
    replace: "return 2 + Math.max(1, Math.min(unavailable, failures));",
  },
  {
    name: "failures make no room smaller",
    file: "core/rollout/bounds.ts",
    search: "return Math.max(1, Math.min(unavailable, failures));",
    replace: "return unavailable;",
  },
  {
    name: "a wave has one machine more",
    file: "core/rollout/bounds.ts",
    search: "return Math.min(passing, Math.max(1, shareCeil(percent, passing)));",
    replace: "return Math.min(passing, 1 + Math.max(1, shareCeil(percent, passing)));",
  },
  {
    name: "a new leader forgets what was granted",
    file: "core/rollout/permits.ts",
    search: "this.#ledgers = from.ledgers.map((row) => newLedger(row, from.at));",
    replace: "this.#ledgers = from.ledgers.slice(0, 0).map((row) => newLedger(row, from.at));",
  },
  {
    name: "permits are granted before they are written",
    file: "core/rollout/rollout.ts",
    search: "    if (grants.length === 0) return;\n    this.#persist(effects);\n",
    replace: "    if (grants.length === 0) return;\n",
  },
  {
    name: "the next rollout never has its turn",
    file: "core/rollout/service-turns.ts",
    search: "if (first === undefined) return { compares, operations: [{ delete: key }] };",
    replace:
      "if (first === undefined || first.id !== taker.id) {\n    return { compares, operations: [{ delete: key }] };\n  }",
  },
  {
    name: "two begin at once",
    file: "core/rollout/service-turns.ts",
    search:
      "const compares = [{ key: activeKey(service), modRevision: active?.modRevision ?? 0 }];",
    replace: 'const compares: TurnChange["compares"] = [];',
  },
  {
    name: "what ran before a rollout that is taken back is forgotten",
    file: "core/rollout/assignment-rules.ts",
    search:
      "return before === undefined ? others : others.toSpliced(before.index, 0, reinstated(before));",
    replace: "return others;",
  },
  {
    name: "a wave is drawn while machines are counted twice",
    file: "core/rollout/settling.ts",
    search: "return away <= shareFloor(AWAY_PERCENT, total) || at",
    replace: "return away <= total || at",
  },
  // Permits at relays.
  {
    name: "a relay hands out what it was granted, however many are out",
    file: "core/rollout/permit-desk.ts",
    search: "Math.min(quota.quota - granted, quota.together - outstanding - failed)",
    replace: "quota.quota - granted + 0 * (outstanding + failed)",
  },
  {
    name: "a relay hands out more than it was granted",
    file: "core/rollout/permit-desk.ts",
    search: "Math.min(quota.quota - granted, quota.together - outstanding - failed)",
    replace: "quota.together + 4 - outstanding + 0 * (granted + failed)",
  },
  {
    name: "a relay that was started again forgets its permits",
    file: "core/rollout/relay-desks.ts",
    search: "const kept = this.#kept.get(rollout) ?? [];",
    replace: "const kept = (this.#kept.get(rollout) ?? []).slice(0, 0);",
  },
  {
    name: "machines that sicken count as healthy",
    file: "core/rollout/permit-tally.ts",
    search: 'return standing.error ? "failed" : "active";',
    replace: 'return "active";',
  },
  // Machines.
  {
    name: "the old process is left running beside the new one",
    file: "core/fleet/agent-switch.ts",
    search: 'return [{ do: "start", release }, check, point, ...stop(from)];',
    replace: 'return [{ do: "start", release }, check, point];',
  },
  {
    name: "a machine needs no permit",
    file: "core/fleet/agent-goal.ts",
    search: 'needsPermit: phase === "open",',
    replace: 'needsPermit: phase === "frozen",',
  },
  // Packs.
  {
    name: "a pack is whole before all of it is there",
    file: "core/fleet/mirror-pack.ts",
    search: "return pack.sealed && pack.sealStored && pack.stored === pack.segments.length;",
    replace: "return pack.sealed && pack.stored > 0;",
  },
  {
    name: "a pull that failed is not tried again",
    file: "core/fleet/mirror.ts",
    search: 'pack.segments[segment] = { ...before, state: "absent", tries, retryAt };',
    replace: 'pack.segments[segment] = { ...before, state: "pulling", tries, retryAt };',
  },
  {
    name: "a rollout begins before regions hold its packs",
    file: "core/fleet/replicas.ts",
    search:
      "return regions.filter((region) => !packs.every((pack) => replicas.isWhole(region, pack)));",
    replace:
      "return regions.filter((region) => packs.some((pack) => replicas.isWhole(pack, region)));",
  },
  {
    name: "a relay reports nothing once it has nothing new",
    file: "core/fleet/report-pace.ts",
    search: "this.#quietAt = now + QUIET_MS;",
    replace: "this.#quietAt = Number.POSITIVE_INFINITY;",
  },
  // Fetching ahead.
  {
    name: "an order that a snapshot does not name goes on",
    file: "core/fleet/prefetch-orders.ts",
    search: "const over = [...this.#orders].filter(([id]) => !named.has(id));",
    replace: "const over = [...this.#orders].filter(([id]) => named.size < 0 && !named.has(id));",
  },
  {
    name: "an attempt that ends leaves its order",
    file: "core/builds/ship-orders.ts",
    search: 'news.push({ kind: "ended", pack: before.pack, kept });',
    replace: 'if (kept) news.push({ kind: "ended", pack: before.pack, kept });',
  },
  {
    name: "a machine keeps packs for others without a bound",
    file: "core/fleet/piece-cache.ts",
    search: "if (bytes <= bytesMax) return [];",
    replace: "if (bytes <= 1e12) return [];",
  },
];
