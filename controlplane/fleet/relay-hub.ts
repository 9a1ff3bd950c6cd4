// The streams of all relays: who is connected, what each is to know, and what each says. It keeps the
// assignments that relays must be told at connect; packs are the teller's, rollouts the engine's business.
import { isOlder, type TermPoint } from "../../core/leadership/epoch.ts";
import type { Instant } from "../../core/machine.ts";
import type {
  CensusAnswer,
  RelayHello,
  RelayInfo,
  RelayReport,
  ServiceAssignments,
} from "../../proto/gen/millrace/v1/fleet.ts";
import { failpoint } from "../../runtime/failpoint.ts";
import {
  comeBackMs,
  failedPrecondition,
  notFound,
  unavailable,
} from "../../runtime/grpc/rpc-error.ts";
import type { Log } from "../../runtime/log.ts";
import { type Store, scan } from "../../runtime/store/store.ts";
import { counter } from "../../runtime/telemetry.ts";
import type { Fence } from "../fence.ts";
import type { Command, Outbox } from "./outbox.ts";
import { type PackListener, PackTeller } from "./pack-teller.ts";
import { encodeRelay, parseRelay, RELAYS_PREFIX, type RelayRow, relayKey } from "./relay-row.ts";
import type { ReplicationTracker } from "./replication-tracker.ts";

/** A relay obeys for so long after the last heartbeat: the leader's lease. */
const LEADER_TTL_MS = 3_000;
/** Three heartbeats in the time of one lease. */
const HEARTBEAT_MS = LEADER_TTL_MS / 3;
/** Packs nobody needs any more are looked for so often, beside at every change. */
const SWEEP_MS = 10_000;

/** What a session can do for the hub. */
export interface RelayLine {
  readonly outbox: Outbox;
  /** Ends the stream; the relay comes back. */
  end(why: string): void;
}

/** A connected relay. */
export interface RelaySession extends PackListener {
  readonly relay: string;
  readonly region: string;
  readonly boot: string;
  /** Until then agents may be on their way back to it. */
  readonly settlesAt: Instant;
  readonly info: RelayRow;
  readonly line: RelayLine;
  agents: number;
}

/** Hears what relays do and say. */
export interface RelayListener {
  relayJoined(session: RelaySession): void;
  relayLost(session: RelaySession): void;
  relayReported(session: RelaySession, report: RelayReport): void;
  censusAnswered(session: RelaySession, answer: CensusAnswer): void;
}

export interface RelayHubOptions {
  readonly store: Store;
  readonly fence: Fence;
  /** The store's name, which relays are told. */
  readonly storeName: string;
  readonly log: Log;
  readonly now: () => Instant;
  readonly tracker: ReplicationTracker;
}

export class RelayHub {
  readonly #options: RelayHubOptions;
  readonly #sessions = new Map<string, RelaySession>();
  readonly #known = new Map<string, RelayRow>();
  /** Relays that were told this term's epoch. */
  readonly #met = new Set<string>();
  readonly #assignments = new Map<string, ServiceAssignments>();
  /** Tells relays of packs and orders. */
  readonly packs: PackTeller<RelaySession>;
  readonly #listeners: RelayListener[] = [];
  readonly #timers: NodeJS.Timeout[];
  readonly #reports = counter("millrace.reports", "Reports taken from relays", "{report}");

  constructor(options: RelayHubOptions) {
    this.#options = options;
    this.packs = new PackTeller({
      epoch: options.fence.epoch,
      now: options.now,
      tracker: options.tracker,
      listeners: () => this.#sessions.values(),
      push: (session, command) => this.#push(session, command),
    });
    this.#timers = [
      setInterval(() => this.#beat(), HEARTBEAT_MS),
      setInterval(() => this.packs.tell(), SWEEP_MS),
    ];
  }

  /** Reads the registered relays. */
  async load(): Promise<void> {
    for await (const entry of scan(this.#options.store, RELAYS_PREFIX)) {
      const row = parseRelay(entry);
      this.#known.set(row.relay, row);
    }
  }

  get epoch(): number {
    return this.#options.fence.epoch;
  }

  /** This term. */
  get term(): TermPoint {
    const { epoch, revision } = this.#options.fence;
    return { epoch, revision };
  }

  /** Whether the relay may know this term's epoch from this leader. */
  hasMet(relay: string): boolean {
    return this.#met.has(relay);
  }

  /** Connected relays by id. */
  get sessions(): readonly RelaySession[] {
    return [...this.#sessions.values()].sort((a, b) => (a.relay < b.relay ? -1 : 1));
  }

  /** Every relay that ever registered, by id. */
  get known(): readonly RelayRow[] {
    return [...this.#known.values()].sort((a, b) => (a.relay < b.relay ? -1 : 1));
  }

  listen(listener: RelayListener): void {
    this.#listeners.push(listener);
  }

  /** A relay said hello: registers it, tells it everything, and its siblings of it. */
  async join(hello: RelayHello, line: RelayLine): Promise<RelaySession> {
    const { relay, region, boot, address, swarmAddress, capacity, version } = hello;
    const info = { relay, region, address, swarmAddress, capacity, version };
    await this.#registerRelay(info);
    this.#met.add(relay);
    const settlesAt = this.#options.now() + hello.settleMs;
    const session = { relay, region, boot, settlesAt, info, line, agents: 0, told: new Map() };
    this.#sessions.get(relay)?.line.end("the relay has connected again");
    this.leave(this.#sessions.get(relay));
    this.#sessions.set(relay, session);
    this.#snapshot(session);
    this.#tellSiblings(region);
    for (const listener of this.#listeners) listener.relayJoined(session);
    return session;
  }

  /** Its stream has ended; one that a newer stream replaced has left already. */
  leave(session: RelaySession | undefined): void {
    if (session === undefined || this.#sessions.get(session.relay) !== session) return;
    this.#sessions.delete(session.relay);
    this.#tellSiblings(session.region);
    for (const listener of this.#listeners) listener.relayLost(session);
  }

  reported(session: RelaySession, report: RelayReport): void {
    if (this.#sessions.get(session.relay) !== session) return;
    this.#reports.add(1);
    session.agents = report.agents;
    this.#options.tracker.reported(session.relay, session.region, report.packs);
    for (const listener of this.#listeners) listener.relayReported(session, report);
  }

  censusAnswered(session: RelaySession, answer: CensusAnswer): void {
    if (this.#sessions.get(session.relay) !== session) return;
    for (const listener of this.#listeners) listener.censusAnswered(session, answer);
  }

  /** Sends to one relay, if it is connected. */
  send(relay: string, command: Command): void {
    const session = this.#sessions.get(relay);
    if (session !== undefined) this.#push(session, command);
  }

  /** A service's assignments are these now; kept for relays that connect later. Older ones that come late say nothing. */
  assign(assignments: ServiceAssignments): void {
    const before = this.#assignments.get(assignments.service);
    if (before !== undefined && isOlder(assignments, before)) return;
    this.#assignments.set(assignments.service, assignments);
    failpoint("controlplane.before-send");
    this.packs.assigned(assignments);
    for (const session of this.#sessions.values()) {
      this.#push(session, { $case: "assignments", assignments });
    }
    failpoint("controlplane.after-send");
  }

  /** Sends the relays away, to wherever the next leader is. */
  close(): void {
    for (const timer of this.#timers) clearInterval(timer);
    for (const { line } of this.#sessions.values()) {
      // Not by #push: whoever leads, that this one does not is true.
      const reconnect = { afterMs: comeBackMs(), address: "" };
      line.outbox.push({ $case: "reconnect", reconnect });
      line.end("this control plane leads no more");
    }
  }

  /** Forgets a relay that is gone for good: nobody waits for it. NOT_FOUND, FAILED_PRECONDITION while it is here. */
  async forget(relay: string): Promise<void> {
    const { store, fence } = this.#options;
    if (!this.#known.has(relay)) throw notFound(`no relay "${relay}" is known`);
    if (this.#sessions.has(relay)) {
      throw failedPrecondition(`relay ${relay} is connected; end it first`);
    }
    const { committed } = await store.transact({
      compares: [fence.compare],
      operations: [{ delete: relayKey(relay) }],
    });
    if (!committed) throw unavailable("another control plane has taken over");
    // It may have come back meanwhile, and then it is registered anew at its next connection.
    if (!this.#sessions.has(relay)) this.#known.delete(relay);
  }

  async #registerRelay(row: RelayRow): Promise<void> {
    const { store, fence } = this.#options;
    if (JSON.stringify(this.#known.get(row.relay)) !== JSON.stringify(row)) {
      const { committed } = await store.transact({
        compares: [fence.compare],
        operations: [{ put: relayKey(row.relay), value: encodeRelay(row) }],
      });
      if (!committed) throw unavailable("another control plane has taken over");
    }
    this.#known.set(row.relay, row);
  }

  #snapshot(session: RelaySession): void {
    this.#push(session, this.#heartbeat());
    this.#push(session, { $case: "siblings", siblings: this.#siblings(session.region) });
    for (const assignments of this.#assignments.values()) {
      this.#push(session, { $case: "assignments", assignments });
    }
    for (const command of this.packs.snapshot(session)) this.#push(session, command);
    this.#push(session, { $case: "snapshotEnd", snapshotEnd: { epoch: this.epoch } });
  }

  #beat(): void {
    for (const session of this.#sessions.values()) this.#push(session, this.#heartbeat());
  }

  #heartbeat(): Command {
    const { storeName: store } = this.#options;
    return { $case: "heartbeat", heartbeat: { epoch: this.epoch, ttlMs: LEADER_TTL_MS, store } };
  }

  #siblings(region: string): { relays: RelayInfo[] } {
    return { relays: this.sessions.filter((one) => one.region === region).map(relayInfoOf) };
  }

  #tellSiblings(region: string): void {
    const siblings = this.#siblings(region);
    for (const session of this.#sessions.values()) {
      if (session.region === region) this.#push(session, { $case: "siblings", siblings });
    }
  }

  #push(session: RelaySession, command: Command): void {
    // Another may lead by now: what this one still believes is not for relays to hear.
    if (!this.#options.fence.holds()) return;
    if (session.line.outbox.push(command)) return;
    this.#options.log.warn({ relay: session.relay }, "relay is too slow; its stream is ended");
    session.line.end("too many commands wait for the relay");
  }
}

/** A connected relay as others are told of it. */
export function relayInfoOf({ info, agents }: RelaySession): RelayInfo {
  const { relay, region, address, swarmAddress, capacity } = info;
  return { id: relay, region, address, swarmAddress, capacity, agents, online: true };
}
