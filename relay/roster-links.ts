// Streams between the relays of a region, over which they tell each other who is in which swarm, and which machines
// have come from one to the other: the relay with the lower id dials, and comes back with full-jitter waits. What is said
// is decided by core/fleet/roster-outbox.ts and core/rollout/newcomers.ts.
import type { Membership, Roster } from "../core/fleet/roster.ts";
import { RosterOutbox } from "../core/fleet/roster-outbox.ts";
import type { Claim, MoveInput, MoveTold } from "../core/rollout/newcomers.ts";
import {
  type AgentClaim,
  type PeerSignal,
  type RelayInfo,
  RosterServiceClient,
  type RosterServiceServer,
  type ShareRosterRequest,
  type SwarmMember,
} from "../proto/gen/millrace/v1/fleet.ts";
import { monotonicNow } from "../runtime/driver.ts";
import { connect } from "../runtime/grpc/client.ts";
import type { Log } from "../runtime/log.ts";
import { BackOff } from "../runtime/program/back-off.ts";
import { neighbourOf } from "./swarm-directory.ts";

const BACK_OFF_MS_FIRST = 100;
const BACK_OFF_MS_LAST = 5_000;
/** Characters of an id, a zone or a rack and of an address, as agents' hellos are held to. */
const NAME_MAX = 64;
const ADDRESS_MAX = 256;
/** Claims in one message: 160 bytes each are below its 256 KiB. */
const CLAIMS_MAX = 1_000;

type Share = ShareRosterRequest;

/** What both ends of a stream have in common. */
interface Stream {
  write(message: Share): boolean;
  end(): void;
  on(event: "data", listener: (message: Share) => void): unknown;
  on(event: "end" | "error" | "cancelled", listener: () => void): unknown;
}

export interface RosterLinksOptions {
  readonly relayId: string;
  readonly roster: Roster;
  readonly log: Log;
  /** A sibling passes on a step of a call. */
  readonly onSignal: (sibling: string, signal: PeerSignal) => void;
  /** A sibling can be spoken to, or has said something of a machine. */
  readonly onMove: (fact: MoveInput) => void;
}

/** Keeps a stream to every sibling. */
export class RosterLinks {
  readonly #options: RosterLinksOptions;
  readonly #open = new Set<RosterLink>();
  readonly #dialling = new Map<string, AbortController>();
  #siblings = new Set<string>();

  constructor(options: RosterLinksOptions) {
    this.#options = options;
  }

  /** Takes the other live relays of the region; what others said of their agents is forgotten. */
  siblings(relays: readonly RelayInfo[]): void {
    const { relayId, roster } = this.#options;
    const ids = new Set(relays.map(({ id }) => id));
    for (const gone of [...this.#siblings].filter((id) => !ids.has(id))) {
      roster.forget(gone);
      this.#dialling.get(gone)?.abort();
      this.#dialling.delete(gone);
    }
    this.#siblings = ids;
    for (const { id, address } of relays) {
      if (relayId >= id || this.#dialling.has(id)) continue;
      const stop = new AbortController();
      this.#dialling.set(id, stop);
      void this.#dial(id, address, stop.signal);
    }
  }

  /** An own agent has joined or left a swarm. */
  changed(membership: Membership, joined: boolean): void {
    for (const link of this.#open) link.changed(membership, joined);
  }

  /** Passes a step of a call to a sibling; false where no stream leads there. */
  signal(relayId: string, signal: PeerSignal): boolean {
    const link = this.#to(relayId);
    link?.signal(signal);
    return link !== undefined;
  }

  /** Tells a sibling of a machine; where no stream leads there, `onMove` says when one does. */
  move(told: MoveTold): void {
    this.#to(told.relay)?.move(told);
  }

  #to(relayId: string): RosterLink | undefined {
    for (const link of this.#open) if (link.sibling === relayId) return link;
    return undefined;
  }

  /** Handlers of the gRPC service. */
  service(): RosterServiceServer {
    return {
      shareRoster: (stream) => {
        this.#keep(stream).then(
          () => stream.end(),
          (error: unknown) => this.#options.log.warn({ err: error }, "roster stream failed"),
        );
      },
    };
  }

  stop(): void {
    for (const stop of this.#dialling.values()) stop.abort();
    for (const link of this.#open) link.end();
  }

  async #dial(id: string, address: string, signal: AbortSignal): Promise<void> {
    const backOff = new BackOff(BACK_OFF_MS_FIRST, BACK_OFF_MS_LAST);
    while (!signal.aborted) {
      const client = connect(RosterServiceClient, address);
      const stream = client.shareRoster();
      const cancel = (): void => stream.cancel();
      signal.addEventListener("abort", cancel);
      const heard = await this.#keep(stream);
      signal.removeEventListener("abort", cancel);
      client.close();
      if (heard) backOff.reset();
      this.#options.log.debug({ sibling: id, heard }, "roster stream ended");
      await backOff.wait(signal);
    }
  }

  /** Uses a stream until it ends; true where the other side has spoken. */
  #keep(stream: Stream): Promise<boolean> {
    const link = new RosterLink(stream, this.#options);
    this.#open.add(link);
    return new Promise((resolve) => {
      const done = (): void => {
        this.#open.delete(link);
        link.end();
        resolve(link.hasHeard);
      };
      stream.on("data", (share) => link.heard(share));
      stream.on("end", done);
      stream.on("error", done);
      stream.on("cancelled", done);
    });
  }
}

/** One stream to one sibling. */
class RosterLink {
  readonly #stream: Stream;
  readonly #relayId: string;
  readonly #roster: Roster;
  readonly #outbox: RosterOutbox;
  #timer: NodeJS.Timeout | undefined;
  #hasEnded = false;
  readonly #onSignal: RosterLinksOptions["onSignal"];
  readonly #onMove: RosterLinksOptions["onMove"];
  /** Told together: of 10,000 machines that have come each would be a message. */
  readonly #moves: MoveTold[] = [];
  hasHeard = false;
  /** Who is at the other end, once it has said so. */
  sibling: string | undefined;

  constructor(stream: Stream, { relayId, roster, onSignal, onMove }: RosterLinksOptions) {
    this.#stream = stream;
    this.#relayId = relayId;
    this.#roster = roster;
    this.#onSignal = onSignal;
    this.#onMove = onMove;
    this.#outbox = new RosterOutbox(roster.own());
    this.#speak();
  }

  changed(membership: Membership, joined: boolean): void {
    this.#outbox.changed(membership, joined);
    this.#arm();
  }

  heard({ relay, full, joined, left, signals, claims, ceded }: Share): void {
    this.hasHeard = true;
    if (relay === this.#relayId || !isNamed(relay)) return;
    if (this.sibling !== relay) {
      this.sibling = relay;
      this.#onMove({ kind: "linked", relay });
    }
    for (const claim of claimsOf(claims)) this.#onMove({ kind: "claimed", relay, claim });
    for (const claim of claimsOf(ceded)) this.#onMove({ kind: "ceded", relay, claim });
    for (const signal of signals) this.#onSignal(relay, signal);
    const news = { full, joined: joined.flatMap(joinedOf), left: left.flatMap(membershipOf) };
    this.#roster.heard(relay, news);
  }

  signal(signal: PeerSignal): void {
    this.#write({ signals: [signal] });
  }

  move(told: MoveTold): void {
    this.#moves.push(told);
    if (this.#moves.length === 1) setImmediate(() => this.#tellMoves());
  }

  #tellMoves(): void {
    while (this.#moves.length > 0 && !this.#hasEnded) {
      const told = this.#moves.splice(0, CLAIMS_MAX);
      const of = (kind: MoveTold["kind"]): AgentClaim[] =>
        told.filter((one) => one.kind === kind).map(({ claim }) => agentClaimOf(claim));
      this.#write({ claims: of("claim"), ceded: of("cede") });
    }
  }

  #write(said: Partial<Share>): void {
    const nothing = { joined: [], left: [], packs: [], signals: [], claims: [], ceded: [] };
    this.#stream.write({ ...nothing, relay: this.#relayId, full: false, ...said });
  }

  end(): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    clearTimeout(this.#timer);
    this.#stream.end();
  }

  #speak(): void {
    this.#timer = undefined;
    for (const { full, joined, left } of this.#outbox.take(monotonicNow())) {
      this.#write({ full, joined: joined.map(memberOf), left: left.map(memberOf) });
    }
    this.#arm();
  }

  #arm(): void {
    const { dueAt } = this.#outbox;
    if (this.#hasEnded || this.#timer !== undefined || dueAt === Number.POSITIVE_INFINITY) return;
    this.#timer = setTimeout(() => this.#speak(), Math.max(0, Math.ceil(dueAt - monotonicNow())));
  }
}

function memberOf({ pack, member }: Membership): SwarmMember {
  const { zone, rack } = member;
  return { pack, peer: neighbourOf(member), zone, rack };
}

/** Who has joined as a sibling says it; nobody where it says what no agent may. */
function joinedOf(said: SwarmMember): Membership[] {
  const { pack, peer, zone, rack } = said;
  const isSound = isNamed(pack, peer?.peer ?? "") && (peer?.address.length ?? 0) <= ADDRESS_MAX;
  return isSound && zone.length <= NAME_MAX && rack.length <= NAME_MAX ? membershipOf(said) : [];
}

function membershipOf({ pack, peer, zone, rack }: SwarmMember): Membership[] {
  if (peer === undefined) return [];
  const { peer: peerId, address, callable: isCallable } = peer;
  return [{ pack, member: { peerId, address, isCallable, zone, rack } }];
}

function agentClaimOf({ agentId: agent, session }: Claim): AgentClaim {
  const { boot, startedAtMs, connect } = session;
  return { agent, boot, startedAtMs, connect };
}

function claimsOf(claims: readonly AgentClaim[]): Claim[] {
  return claims
    .slice(0, CLAIMS_MAX)
    .filter(({ agent, boot }) => isNamed(agent, boot))
    .map(({ agent: agentId, ...session }) => ({ agentId, session }));
}

function isNamed(...names: readonly string[]): boolean {
  return names.every((name) => name !== "" && name.length <= NAME_MAX);
}
