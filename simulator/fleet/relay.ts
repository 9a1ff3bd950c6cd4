// One relay of the simulated fleet: the real permit desks, gate, mirror, roster and report pace, joined to lines of
// the leader and of agents as relay/relay.ts joins them. A disk keeps what must outlive it.
import { RELAY_BACKOFF } from "../../core/fleet/agent-backoff.ts";
import { type PaceEffect, type PaceInput, ReportPace } from "../../core/fleet/report-pace.ts";
import { Roster } from "../../core/fleet/roster.ts";
import type { RosterMember } from "../../core/fleet/swarm-members.ts";
import { isOlder, revisionWithin, withdrawalRevision } from "../../core/leadership/epoch.ts";
import { LeaderGate } from "../../core/leadership/leader-gate.ts";
import type { Instant } from "../../core/machine.ts";
import { countMachines } from "../../core/rollout/census.ts";
import type { KeptPermit } from "../../core/rollout/permit-ledger.ts";
import { tallyOf } from "../../core/rollout/permit-tally.ts";
import { type DesksEffect, type DesksInput, RelayDesks } from "../../core/rollout/relay-desks.ts";
import { deskRulesOf, ruleOf, standingOf } from "./desk-facts.ts";
import { LeaderLink, type LeaderLinkOptions } from "./leader-link.ts";
import type { Listener } from "./lines.ts";
import type { AgentSays, Assignments, RelayCommand, RelaySays, RelayTells } from "./messages.ts";
import { type Ground, Process, Stepper } from "./process.ts";
import { newRelayDisk, rememberedOrders, usedReleases } from "./relay-memory.ts";
import { RelayMirror, type RelayMirrorOptions } from "./relay-mirror.ts";
import { RelayOrders } from "./relay-orders.ts";
import { RelaySessions, type Session } from "./relay-sessions.ts";
import { SiblingLines, type SiblingLinesOptions, type SiblingSays } from "./sibling-lines.ts";

const FAILING_MAX = 10;

export interface RelayOptions
  extends Omit<RelayMirrorOptions, "process" | "onChange" | "onWhole">,
    Pick<LeaderLinkOptions, "network" | "controlPlanes">,
    Pick<SiblingLinesOptions, "mates"> {
  readonly ground: Ground;
  readonly region: string;
  /** One of its agents has joined a swarm; siblings are to hear of it. */
  readonly onMember: (relay: Relay, pack: string, member: RosterMember) => void;
  /** Commands obeyed, to be checked. */
  readonly onObeyed: (relay: string, command: RelayCommand) => void;
}

export class Relay {
  readonly process: Process;
  readonly agents: Listener<AgentSays, RelayTells>;
  /** Where other relays of the region come. */
  readonly siblings: Listener<SiblingSays, SiblingSays>;
  readonly disk = newRelayDisk();
  readonly #options: RelayOptions;
  #sessions = this.#newSessions();
  #boots = 0;
  #gate = new LeaderGate(0);
  #link: LeaderLink | undefined;
  #desks: RelayDesks | undefined;
  #driver: Stepper<DesksInput, DesksEffect> | undefined;
  #pace: Stepper<PaceInput, PaceEffect> | undefined;
  #mirror: RelayMirror | undefined;
  #lines: SiblingLines | undefined;
  #orders = this.#newOrders();
  #roster: Roster;
  #named: Set<string> | undefined;
  #settlesAt: Instant = 0;
  #mates: readonly string[] = [];

  constructor(options: RelayOptions) {
    this.#options = options;
    this.process = new Process(options.relay, options.ground);
    this.#roster = new Roster(options.relay, options.ground.random);
    this.agents = { process: this.process, accept: (line) => this.#sessions.accept(line) };
    this.siblings = { process: this.process, accept: (line) => this.#lines?.accept(line) };
  }

  get name(): string {
    return this.process.name;
  }

  get region(): string {
    return this.#options.region;
  }

  /** Agents connected. */
  get sessionCount(): number {
    return this.#sessions.size;
  }

  /** The desks of this life. */
  get desks(): RelayDesks | undefined {
    return this.#desks;
  }

  get heldCount(): number {
    return this.#link?.heldCount ?? 0;
  }

  /** The roster that agents and siblings are told from. */
  get roster(): Roster {
    return this.#roster;
  }

  start(): void {
    const { process, disk } = this;
    const { ground } = this.#options;
    process.begin();
    this.#boots += 1;
    this.#gate = new LeaderGate(disk.epoch);
    this.#roster = new Roster(this.name, ground.random);
    this.#sessions = this.#newSessions();
    this.#orders = this.#newOrders();
    const kept = [...disk.permits].map(([id, permits]) => [id, [...permits.values()]] as const);
    this.#desks = new RelayDesks(this.name, new Map(kept));
    this.#driver = new Stepper(process, "desks", this.#desks, (effect) => this.#perform(effect));
    const { desks } = this;
    const pace = new ReportPace(() => desks?.isAnyOut === true);
    this.#pace = new Stepper(process, "pace", pace, () => this.#report());
    const onMove: SiblingLinesOptions["onMove"] = (fact) => this.#driver?.input(fact);
    this.#lines = new SiblingLines({ ...this.#options, process, onMove });
    const onChange = (): void => this.#changed();
    const onWhole = (): void => this.#pace?.input({ kind: "awaited" });
    this.#mirror = new RelayMirror({ ...this.#options, process, onChange, onWhole });
    // Without an earlier life it has no agents to wait for.
    this.#settlesAt = disk.isComplete ? process.now + RELAY_BACKOFF.mostMs : 0;
    for (const assignments of disk.services.values()) this.#deskAssigned(assignments);
    this.#link = new LeaderLink({
      ...this.#options,
      ...{ process, gate: this.#gate },
      hello: () => this.#hello(),
      memory: () => {
        const orders = rememberedOrders(disk.services, this.#sessions.statuses());
        return { kind: "memory", orders };
      },
      keep: (epoch) => {
        if (!disk.isFull) disk.epoch = epoch;
        return !disk.isFull;
      },
      onBegin: () => {
        this.#named = new Set();
        this.#orders.begin();
      },
      onLed: (isFirst) => {
        const { epoch, ledUntil: until } = this.#gate;
        this.#driver?.input({ kind: "led", epoch, until });
        if (isFirst) this.#changed();
      },
      onCommand: (command) => this.#tryObey(command),
    });
  }

  /** kill -9. */
  kill(): void {
    if (!this.process.isUp) return;
    this.#mirror?.stop();
    this.process.end();
  }

  /** Its connection to the leader breaks. */
  loseLeader(): void {
    if (this.process.isUp) this.#link?.lose();
  }

  /** All its agents' connections break at once. */
  dropAgents(): void {
    for (const { line } of [...this.#sessions.all()]) line.break();
  }

  /** It sends its agents on to others and ends, as at SIGTERM. */
  drain(): void {
    if (!this.process.isUp) return;
    this.#driver?.input({ kind: "closed" });
    this.#report();
    for (const { line } of this.#sessions.all()) {
      line.send({ kind: "reconnect", afterMs: this.#options.ground.random() * 1_000 });
    }
    this.process.after(1_000, () => this.kill());
  }

  #newOrders(): RelayOrders {
    return new RelayOrders({
      tell: (message) => this.#tellAll(message),
      onDropped: (pack) => this.#mirror?.drop(pack),
    });
  }

  #tellAll(message: RelayTells): void {
    for (const { line } of this.#sessions.all()) line.send(message);
  }

  #newSessions(): RelaySessions {
    return new RelaySessions({
      onJoined: (session) => this.#joined(session),
      onStatus: (agentId, status) => {
        const { service } = status;
        this.#driver?.input({ kind: "heard", agentId, service, standing: standingOf(status) });
        this.#changed();
      },
      onSwarm: (session, pack, joined) => {
        if (joined) this.#introduce(session, pack);
        else this.#roster.leave(pack, session.agentId);
      },
      onGone: (agentId) => {
        this.#driver?.input({ kind: "gone", agentId });
        this.#changed();
      },
    });
  }

  #hello(): RelaySays {
    const { relay, region } = this.#options;
    const { epoch } = this.#gate;
    return {
      ...{ kind: "hello", relay, region, epoch },
      boot: `${this.#boots}`,
      revision: revisionWithin(epoch, this.disk.services.values()),
      settleMs: Math.max(0, this.#settlesAt - this.process.now),
    };
  }

  #tryObey(command: RelayCommand): boolean {
    if (command.kind === "assignments" && this.disk.isFull) return false;
    this.#options.onObeyed(this.name, command);
    this.#obey(command);
    this.#pace?.input({ kind: command.kind === "assignments" ? "awaited" : "changed" });
    return true;
  }

  #obey(command: RelayCommand): void {
    switch (command.kind) {
      case "assignments":
        this.#assign(command.assignments);
        return;
      case "quota": {
        const { rollout, epoch, wave, quota, together, ttlMs } = command;
        const granted = { kind: "granted", rollout, epoch, wave, quota, together, ttlMs } as const;
        this.#driver?.input(granted);
        return;
      }
      case "count": {
        const { desks } = this;
        const isAway = (agentId: string): boolean => desks?.isAway(agentId) === true;
        const count = countMachines(desks?.machines() ?? [], command.asked, isAway);
        const { query, asked } = command;
        this.#link?.send({ kind: "counted", rollout: asked.rollout, query, count });
        return;
      }
      case "uses": {
        const releases = usedReleases(this.#sessions.statuses());
        this.#link?.send({ kind: "used", query: command.query, releases });
        return;
      }
      case "pack":
        this.#mirror?.told(command.pack, command.segments, command.sealed);
        if (command.sealed) this.#orders.needed(command.pack);
        return;
      case "order":
        this.#orders.ordered(command.order);
        return;
      case "order-ended":
        this.#orders.ended(command.id, command.pack, command.keep);
        return;
      case "siblings":
        this.#mates = command.relays;
        this.#mirror?.siblings(command.relays);
        this.#lines?.siblings(command.relays.filter((name) => name !== this.name));
        this.#driver?.input({ kind: "siblings", relays: command.relays });
        return;
      case "snapshot-end":
        this.#endSnapshot(command.epoch);
        return;
      default:
        command satisfies never;
    }
  }

  #assign(assignments: Assignments): void {
    const { service } = assignments;
    this.#named?.add(service);
    const before = this.disk.services.get(service);
    if (before !== undefined && isOlder(assignments, before)) return;
    this.disk.services.set(service, assignments);
    this.#deskAssigned(assignments);
    for (const session of this.#sessions.all()) this.#sessions.tell(session, assignments);
  }

  #deskAssigned(assignments: Assignments): void {
    const { service } = assignments;
    this.#driver?.input({ kind: "assigned", service, rules: deskRulesOf(assignments) });
  }

  /** Forgets what the snapshot has not named, and lets agents know. */
  #endSnapshot(epoch: number): void {
    const named = this.#named;
    if (named === undefined) return;
    this.#named = undefined;
    for (const [service, kept] of [...this.disk.services]) {
      if (named.has(service)) continue;
      this.disk.services.delete(service);
      const nothing = { service, epoch, revision: withdrawalRevision(kept, epoch), rules: [] };
      this.#deskAssigned(nothing);
      for (const session of this.#sessions.all()) this.#sessions.tell(session, nothing);
    }
    this.#orders.end();
    this.#driver?.input({ kind: "snapshot-ended" });
    if (!this.disk.isComplete) this.#tellAll({ kind: "snapshot-end" });
    this.disk.isComplete = true;
  }

  #joined(session: Session): void {
    const { candidate, session: order, relayBefore: from, statuses, takesEarly } = session.hello;
    session.line.send({ kind: "welcome", relays: this.#mates });
    for (const assignments of this.disk.services.values()) {
      this.#sessions.tell(session, assignments);
    }
    for (const order of this.#orders.all) session.line.send({ kind: "order", order });
    if (this.disk.isComplete) session.line.send({ kind: "snapshot-end" });
    const all = statuses.map((status) => [status.service, standingOf(status)] as const);
    const standings = new Map(all);
    this.#driver?.input({ kind: "joined", candidate, session: order, from, standings, takesEarly });
    this.#changed();
  }

  #introduce({ agentId, line }: Session, pack: string): void {
    const member = { peerId: agentId, address: agentId, isCallable: false, zone: "", rack: "" };
    this.#roster.join({ pack, member });
    this.#options.onMember(this, pack, member);
    const { zone, rack } = member;
    const asker = { peerId: agentId, zone, rack, isCaller: false, told: new Set<string>() };
    const members = this.#roster.introduce(pack, asker);
    const relays = this.#mates.length === 0 ? [this.name] : this.#mates;
    line.send({ kind: "members", pack, relays, members });
  }

  #perform(effect: DesksEffect): void {
    const { disk } = this;
    switch (effect.kind) {
      case "keep":
      case "note": {
        // What cannot be kept is not sent: it runs out unused.
        if (disk.isFull) return;
        const kept = disk.permits.get(effect.rollout) ?? new Map<string, KeptPermit>();
        disk.permits.set(effect.rollout, kept.set(effect.permit.id, effect.permit));
        return;
      }
      case "send":
        this.#send(effect.rollout, effect.permit, effect.ttlMs);
        return;
      case "forget":
        disk.permits.delete(effect.rollout);
        return;
      case "changed":
        this.#changed();
        return;
      case "claim":
      case "cede":
        this.#lines?.move(effect);
        return;
      case "let":
        this.#sessions.let(effect.agentId);
        return;
      default:
        effect satisfies never;
    }
  }

  #send(rollout: string, permit: KeptPermit, ttlMs: number): void {
    if (this.disk.permits.get(rollout)?.has(permit.id) !== true) return;
    const rule = ruleOf(this.disk.services.values(), rollout);
    if (rule === undefined) return;
    const { id, agentId, epoch, wave } = permit;
    const { service, release } = rule.release;
    const told = { id, service, rollout, epoch, wave, ttlMs, release };
    this.#sessions.get(agentId)?.line.send({ kind: "permit", permit: told }, true);
    this.#changed();
  }

  #changed(): void {
    this.#pace?.input({ kind: "changed" });
  }

  #report(): void {
    if (this.#link?.isUp !== true) return;
    const tallies = [...(this.#desks?.desks() ?? [])].flatMap((desk) => {
      const { assignment, rollout } = desk;
      if (assignment === undefined) return [];
      const { epoch, revision, phase } = assignment;
      const isRollback = phase === "rollback";
      return [{ rollout, epoch, revision, isRollback, ...tallyOf(desk, FAILING_MAX) }];
    });
    this.#link.send({ kind: "report", tallies, replicas: this.#mirror?.replicas() ?? [] });
    this.#pace?.input({ kind: "sent" });
  }
}
