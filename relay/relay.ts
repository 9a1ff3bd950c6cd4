// One relay: wires the agents' sessions, the permit desks, the mirror and the roster to the control
// plane's stream, and says which command goes where. What each of them does stands in its own file.

import { RELAY_BACKOFF } from "../core/fleet/agent-backoff.ts";
import type { MirrorLimits } from "../core/fleet/mirror.ts";
import { type PaceEffect, type PaceInput, ReportPace } from "../core/fleet/report-pace.ts";
import { Roster } from "../core/fleet/roster.ts";
import { withdrawalRevision } from "../core/leadership/epoch.ts";
import type { Instant } from "../core/machine.ts";
import { isPackId } from "../core/release/pack-id.ts";
import type {
  AgentServiceServer,
  PackProgress,
  PeerSignal,
  RosterServiceServer,
  SnapshotEnd,
} from "../proto/gen/millrace/v1/fleet.ts";
import type { BlobStore } from "../runtime/blobs/blob-store.ts";
import { Driver, monotonicNow } from "../runtime/driver.ts";
import type { Log } from "../runtime/log.ts";
import type { SwarmNode } from "../runtime/peer/swarm-node.ts";
import { freeSpace, type Space } from "../runtime/program/free-space.ts";
import type { Drain } from "../runtime/program/lifecycle.ts";
import { gauge, total } from "../runtime/telemetry.ts";
import { VERSION } from "../runtime/version.ts";
import type { WebRtcTransport } from "../runtime/webrtc/web-rtc-transport.ts";
import { tellOrder, tellOrderEnded, tellSnapshot } from "./agent-commands.ts";
import type { AgentSession } from "./agent-session.ts";
import { AgentSessions } from "./agent-sessions.ts";
import { agentAnswers, censusOf, usesAnswers } from "./answers.ts";
import { AssignmentBook } from "./assignment-book.ts";
import { AssignmentRounds } from "./assignment-rounds.ts";
import { CommandGate } from "./command-gate.ts";
import { type Command, ControlLink } from "./control-link.ts";
import { memoryOf } from "./memory.ts";
import { Mirroring } from "./mirroring.ts";
import { PermitDesks } from "./permit-desks.ts";
import { PermitJournal } from "./permit-journal.ts";
import { RegionMates } from "./region-mates.ts";
import { reportOf } from "./report.ts";
import { RosterLinks } from "./roster-links.ts";
import { SignalSwitch } from "./signal-switch.ts";
import { SwarmDirectory } from "./swarm-directory.ts";

/** How often it is looked how full the disk is. */
const DISK_MS = 10_000;

export interface RelayOptions {
  readonly relayId: string;
  /** Random at each start. */
  readonly boot: string;
  readonly region: string;
  readonly root: string;
  readonly capacity: number;
  readonly origin: BlobStore;
  readonly regionStore: BlobStore;
  /** How segments are pulled from the origin. */
  readonly mirrorLimits: MirrorLimits;
  /** What the region's store may hold; 0: what is needed, and nothing else. */
  readonly regionBudgetBytes: number;
  readonly node: SwarmNode;
  /** Takes calls of agents that TCP does not lead here. */
  readonly calls?: WebRtcTransport;
  readonly log: Log;
}

/** What the control plane's snapshot has named so far. */
interface Named {
  readonly services: Set<string>;
  readonly orders: Set<string>;
  readonly packs: Set<string>;
}

/** A region's relay; `begin` starts it once its server listens. */
export class Relay {
  readonly #options: RelayOptions;
  readonly #gate: CommandGate;
  readonly #book: AssignmentBook;
  readonly #sessions: AgentSessions;
  readonly #rounds = new AssignmentRounds({
    sessions: () => this.#sessions.all(),
    permitted: (service) => this.#desks.onTheirWay(service),
  });
  readonly #desks: PermitDesks;
  readonly #roster: Roster;
  readonly #links: RosterLinks;
  readonly #directory: SwarmDirectory;
  readonly #signals: SignalSwitch;
  readonly #mirroring: Mirroring;
  readonly #mates: RegionMates;
  readonly #pace: Driver<PaceInput, PaceEffect>;
  /** Until then agents of an earlier life may be on their way back; the slowest has tried by then. */
  readonly #settlesAt: Instant;
  #control: ControlLink | undefined;
  #space: Space | undefined;
  #spaceTimer: NodeJS.Timeout | undefined;
  #named: Named | undefined;

  constructor(options: RelayOptions) {
    this.#options = options;
    const { relayId, region, root, capacity, log, node, calls } = options;
    this.#pace = new Driver(new ReportPace(() => this.#desks.isAnyOut), {
      perform: () => this.#report(),
    });
    const onChange = (): void => this.#changed();
    this.#gate = new CommandGate(root);
    this.#book = new AssignmentBook(root);
    // Without an earlier life it has no agents to wait for.
    this.#settlesAt = this.#book.isComplete ? monotonicNow() + RELAY_BACKOFF.mostMs : 0;
    this.#roster = new Roster(relayId, Math.random);
    this.#links = new RosterLinks({
      relayId,
      roster: this.#roster,
      log,
      onSignal: (sibling, signal) => this.#signals.passedOn(sibling, signal),
      onMove: (fact) => this.#desks.moved(fact),
    });
    this.#sessions = new AgentSessions({
      region,
      capacity,
      log,
      onJoined: (session) => this.#joined(session),
      onStatus: (session, { service }) => {
        this.#desks.heard(session, service);
        onChange();
      },
      onSwarm: (session, membership) => this.#directory.heard(session, membership),
      onSignal: (session, signal) => this.#signals.heard(session, signal),
      onGone: (session) => this.#gone(session),
    });
    this.#signals = new SignalSwitch({
      relayId,
      roster: this.#roster,
      session: (agentId) => this.#sessions.get(agentId),
      toSibling: (sibling, signal) => this.#links.signal(sibling, signal),
      toOwnPeer: (signal) => calls?.heard(signal),
    });
    this.#desks = new PermitDesks({
      relayId,
      sessions: this.#sessions,
      send: (session, permit) => this.#rounds.permit(session, permit),
      journal: new PermitJournal(root),
      log,
      onChange,
      onMove: (told) => this.#links.move(told),
    });
    this.#mirroring = new Mirroring({
      relayId,
      root,
      origin: options.origin,
      region: options.regionStore,
      mirrorLimits: options.mirrorLimits,
      budgetBytes: options.regionBudgetBytes,
      isInformed: () => this.#named === undefined && this.#gate.isLed(monotonicNow()),
      node,
      isUrgent: (pack) => this.#book.isUrgent(pack),
      log,
      onRows: (room) => this.#directory.rowsKnown(room),
      onChange,
      onWhole: () => this.#pace.input({ kind: "awaited" }),
    });
    this.#mates = new RegionMates({
      relayId,
      swarmAddress: node.address,
      isCallable: calls !== undefined,
      region: options.regionStore,
      log,
      onChange: (relays, apart) => this.#mirroring.siblings(relays, apart),
    });
    this.#directory = new SwarmDirectory({
      roster: this.#roster,
      room: (pack) => this.#mirroring.room(pack),
      relays: () => this.#mates.neighbours,
      session: (agentId) => this.#sessions.get(agentId),
      onMember: (pack, session, joined) => this.#member(pack, session, joined),
    });
    gauge("millrace.relay.agents", "Agents connected", () => this.#sessions.size, "{agent}");
    const packs = (): number => [...this.#mirroring.packs].length;
    gauge("millrace.relay.packs", "Packs that are mirrored", packs, "{pack}");
    const refused = (): number => this.#gate.refused;
    total("millrace.relay.refused", "Commands of leaders that are none any more", refused);
  }

  agentService(): AgentServiceServer {
    return this.#sessions.service();
  }

  rosterService(): RosterServiceServer {
    return this.#links.service();
  }

  /** Passes on a step of a call that our own peer takes. */
  signal(signal: PeerSignal): void {
    this.#signals.spoken(signal);
  }

  /** Goes on with what was kept on disk, and connects to the control plane. */
  async begin(controlplane: readonly string[], address: string): Promise<void> {
    const { relayId, boot, region, capacity, node, log } = this.#options;
    await this.#mates.mark();
    await this.#lookAtDisk();
    for (const [service, kept] of this.#book.services) this.#desks.assigned(service, kept);
    this.#mirroring.resume();
    this.#control = new ControlLink({
      addresses: controlplane,
      gate: this.#gate,
      log,
      hello: () => ({
        relay: relayId,
        region,
        boot,
        address,
        swarmAddress: node.address,
        capacity,
        version: VERSION,
        epoch: this.#gate.epoch,
        store: this.#gate.store,
        revision: this.#book.revisionWithin(this.#gate.epoch),
        settleMs: Math.max(0, Math.round(this.#settlesAt - monotonicNow())),
      }),
      onBegin: () => {
        this.#named = { services: new Set(), orders: new Set(), packs: new Set() };
      },
      onLed: (isFirst) => {
        this.#desks.led(this.#gate.epoch, this.#gate.ledUntil);
        if (isFirst) this.#changed();
      },
      onCommand: (command) => this.#obey(command),
      memory: () => memoryOf(this.#book, [...this.#mirroring.packs], [...this.#sessions.all()]),
    });
  }

  /** Whether a leader speaks to this relay. */
  get isLed(): boolean {
    return this.#control?.isUp ?? false;
  }

  /** Sends the agents away and ends everything that `begin` began. */
  async stop(drain: Drain): Promise<void> {
    this.#desks.close();
    // At once: the leader gives what was left here to other relays.
    this.#report();
    const mirrored = this.#mirroring.stop(drain);
    await this.#sessions.close(drain);
    clearTimeout(this.#spaceTimer);
    this.#pace.stop();
    this.#links.stop();
    this.#rounds.stop();
    await this.#control?.stop();
    await mirrored;
    this.#desks.stop();
  }

  async #lookAtDisk(): Promise<void> {
    this.#space = await freeSpace(this.#options.root);
    this.#spaceTimer = setTimeout(() => void this.#lookAtDisk(), DISK_MS);
  }

  #joined(session: AgentSession): void {
    const { relayId, region, node } = this.#options;
    const own = { relay: relayId, region, swarmAddress: node.address };
    session.send({ $case: "welcome", welcome: { ...own, relays: [...this.#mates.others] } });
    tellSnapshot(session, this.#book, this.#gate.epoch);
    this.#desks.joined(session);
    this.#changed();
  }

  #gone(session: AgentSession): void {
    this.#directory.gone(session);
    this.#desks.gone(session);
    this.#changed();
  }

  #member(pack: string, session: AgentSession, joined: boolean): void {
    const membership = { pack, member: session.member };
    if (joined) this.#roster.join(membership);
    else this.#roster.leave(pack, session.id);
    this.#links.changed(membership, joined);
  }

  /** Something that a report tells has changed. */
  #changed(): void {
    this.#pace.input({ kind: "changed" });
  }

  #report(): void {
    const report = reportOf({
      agents: this.#sessions.size,
      replicas: this.#mirroring.replicas(),
      desks: this.#desks.all(),
      epoch: this.#gate.epoch,
      refused: this.#gate.refused,
      space: this.#space,
    });
    if (this.#control?.send({ $case: "report", report })) this.#pace.input({ kind: "sent" });
  }

  #obey(command: Command): void {
    switch (command.$case) {
      case "assignments":
        this.#named?.services.add(command.assignments.service);
        if (!this.#book.assign(command.assignments)) break;
        this.#mirroring.urgencyChanged();
        this.#desks.assigned(command.assignments.service, command.assignments);
        this.#rounds.assigned(command.assignments);
        this.#pace.input({ kind: "awaited" });
        return;
      case "order":
        this.#named?.orders.add(command.order.id);
        this.#book.order(command.order);
        this.#mirroring.urgencyChanged();
        for (const session of this.#sessions.all()) tellOrder(session, command.order);
        break;
      case "orderEnded":
        this.#endOrder(command.orderEnded.id, command.orderEnded.pack, command.orderEnded.keep);
        break;
      case "pack":
        this.#mirror(command.pack);
        break;
      case "quota":
        this.#desks.granted(command.quota);
        break;
      case "census": {
        const isAway = (agentId: string): boolean => this.#desks.isAway(agentId);
        const census = censusOf(this.#desks.machines(), command.census, isAway);
        this.#control?.send({ $case: "census", census });
        return;
      }
      case "agents": {
        const answers = agentAnswers(this.#sessions.all(), command.agents, this.#options.relayId);
        for (const agents of answers) this.#control?.send({ $case: "agents", agents });
        return;
      }
      case "uses":
        for (const uses of usesAnswers(this.#sessions.all(), command.uses)) {
          this.#control?.send({ $case: "uses", uses });
        }
        return;
      case "siblings":
        void this.#mates.told(command.siblings.relays);
        this.#links.siblings(this.#mates.others);
        this.#desks.moved({ kind: "siblings", relays: this.#mates.others.map(({ id }) => id) });
        break;
      case "snapshotEnd":
        this.#endSnapshot(command.snapshotEnd);
        break;
      case "heartbeat":
      case "reconnect":
      case "recall":
        break;
      default:
        command satisfies never;
    }
    this.#changed();
  }

  #mirror(progress: PackProgress): void {
    if (!isPackId(progress.pack)) {
      this.#options.log.error({ pack: progress.pack }, "refused a pack: that is no pack's name");
      return;
    }
    if (!progress.dropped) this.#named?.packs.add(progress.pack);
    this.#mirroring.told(progress);
  }

  #endOrder(id: string, pack: string, keep: boolean): void {
    this.#book.endOrder(id);
    this.#mirroring.urgencyChanged();
    for (const session of this.#sessions.all()) tellOrderEnded(session, { id, pack, keep });
  }

  /** Forgets what the snapshot has not named, and lets agents that waited for it know that it is whole. */
  #endSnapshot({ epoch }: SnapshotEnd): void {
    const named = this.#named;
    if (named === undefined) return;
    this.#named = undefined;
    for (const [service, kept] of [...this.#book.services]) {
      if (named.services.has(service)) continue;
      this.#book.remove(service);
      this.#mirroring.urgencyChanged();
      this.#desks.assigned(service, undefined);
      const revision = withdrawalRevision(kept, epoch);
      this.#rounds.assigned({ service, assignments: [], epoch, revision });
    }
    for (const { id, pack } of [...this.#book.orders.values()]) {
      if (!named.orders.has(id)) this.#endOrder(id, pack, named.packs.has(pack));
    }
    for (const pack of [...this.#mirroring.packs]) {
      if (!named.packs.has(pack)) this.#mirroring.drop(pack, true);
    }
    this.#desks.snapshotEnded();
    const isFirst = !this.#book.isComplete;
    this.#book.complete();
    if (!isFirst) return;
    for (const session of this.#sessions.all()) {
      session.send({ $case: "snapshotEnd", snapshotEnd: { epoch } });
    }
  }
}
