// The machine of one peer in the swarm of one pack: agents and relays run the same one. It keeps who
// is a neighbour, and hands each fact to whom it concerns: pieces coming (`downloads.ts`), pieces going
// (`serving.ts`, `uploads.ts`), peers to dial or to ban (`roster.ts`). Bytes, sockets and hashes are outside.
import type { Instant, Machine } from "../machine.ts";
import { Alarm } from "./alarm.ts";
import { Announcing } from "./announcing.ts";
import { piecesOf } from "./bitfield.ts";
import { Downloads } from "./downloads.ts";
import { whomToEvict } from "./eviction.ts";
import { type DisconnectReason, isQuiet, type SwarmEffect, type SwarmInput } from "./facts.ts";
import { Lane, type LanePlace, type Share } from "./lane.ts";
import { NEIGHBOURS_MAX, NOISE_MAX, RELAY_NEIGHBOURS_MAX, TIMED_OUT_TIMES_MAX } from "./limits.ts";
import type { Block, PeerId, PeerRole } from "./message.ts";
import type { Neighbour } from "./neighbour.ts";
import { NeighbourSet } from "./neighbour-set.ts";
import { Offers } from "./offers.ts";
import { OwnPieces } from "./own-pieces.ts";
import { seededRandom } from "./random.ts";
import { isShareOf } from "./relay-share.ts";
import { Roster } from "./roster.ts";
import { Serving } from "./serving.ts";
import { Spread } from "./spread.ts";
import { Uploads } from "./uploads.ts";

export interface SwarmPeerOptions {
  readonly peer: PeerId;
  readonly role: PeerRole;
  readonly seed: number;
  /** Of a process that is in several swarms or has limits. */
  readonly share?: Share;
  readonly isUrgent?: boolean | undefined;
}

export class SwarmPeer implements Machine<SwarmInput, SwarmEffect> {
  readonly #role: PeerRole;
  readonly #neighboursMax: number;
  readonly #alarm = new Alarm();
  readonly #pieces = new OwnPieces();
  readonly #placed = new NeighbourSet();
  readonly #neighbours = this.#placed.byName;
  readonly #up: LanePlace;
  readonly #downloads: Downloads;
  readonly #uploads: Uploads;
  readonly #announcing: Announcing;
  readonly #offers: Offers;
  readonly #serving: Serving;
  readonly #roster: Roster;
  /** The step that goes on gives a block a reason to leave. */
  #mayUpload = false;

  constructor(options: SwarmPeerOptions) {
    const random = seededRandom(options.seed);
    const spread = new Spread();
    const alarm = this.#alarm;
    const pieces = this.#pieces;
    const { peer, role, isUrgent = false } = options;
    const { up = new Lane(), down = new Lane() } = options.share ?? {};
    this.#role = role;
    this.#neighboursMax = role === "relay" ? RELAY_NEIGHBOURS_MAX : NEIGHBOURS_MAX;
    this.#announcing = new Announcing(alarm, this.#neighboursMax);
    this.#roster = new Roster({ self: peer, role, random, alarm });
    this.#up = up.enter(isUrgent);
    this.#uploads = new Uploads(alarm, this.#up, this.#placed.pool);
    this.#offers = new Offers({
      role,
      neighboursMax: this.#neighboursMax,
      random,
      alarm,
      pieces,
      spread,
      isOurs: (piece) => role === "agent" || isShareOf(peer, this.#neighbours.values(), piece),
    });
    this.#serving = new Serving({ pieces, uploads: this.#uploads, offers: this.#offers });
    this.#downloads = new Downloads({
      random,
      alarm,
      lane: down.enter(isUrgent),
      neighbours: this.#neighbours,
      spread,
      pieces,
      offers: this.#offers,
    });
  }

  get deadline(): Instant {
    return this.#alarm.at;
  }

  /** Wanted pieces known and held, and their encoded bytes. */
  get progress(): { have: number; wanted: number; bytesHave: number; bytesWanted: number } {
    return this.#pieces.progress;
  }

  /** Peers connected now. */
  get neighbourCount(): number {
    return this.#neighbours.size;
  }

  /** Where a neighbour is kept while it is connected; undefined: it is none. */
  placeOf(peer: PeerId): number | undefined {
    return this.#neighbours.get(peer)?.place;
  }

  step(now: Instant, input: SwarmInput, effects: SwarmEffect[]): void {
    const isQuietNow = isQuiet(input);
    this.#mayUpload = !isQuietNow || this.#up.isShared;
    if (now >= this.#alarm.at || input.kind === "wake") this.#expire(now, effects);
    this.#take(now, input, effects);
    if (!isQuietNow) this.#offers.make(now, this.#uploads, effects);
    if (this.#mayUpload) this.#uploads.send(now, this.#announcing, effects);
    const leavesUp = this.#mayUpload && this.#uploads.note();
    if (this.#downloads.note() || leavesUp) effects.push({ kind: "leave-room" });
  }

  /** The swarm is left: the others of the process share what it had. */
  leave(): void {
    this.#uploads.leave();
    this.#downloads.leave();
  }

  #take(now: Instant, input: SwarmInput, effects: SwarmEffect[]): void {
    switch (input.kind) {
      case "extended":
        this.#downloads.extending();
        this.#miss(now, this.#pieces.extend(input.bytes), effects);
        return;
      case "wanted":
        this.#miss(now, this.#pieces.want(input.pieces), effects);
        return;
      case "piece-added":
        this.#complete(now, input.piece, effects);
        this.#downloads.ask(now, effects);
        return;
      case "piece-lost":
        this.#unhold(now, input.piece, effects);
        return;
      case "piece-verified":
        this.#complete(now, input.piece, effects);
        return;
      case "piece-corrupt":
        this.#blame(now, input.piece, effects);
        return;
      case "introduced":
        for (const { peer, role } of input.peers) this.#roster.introduce(now, peer, role);
        this.#dial(now, effects);
        return;
      case "forgotten":
        for (const peer of input.peers) this.#roster.forget(peer);
        return;
      case "connected":
        this.#welcome(now, input.peer, input.role, effects);
        this.#dial(now, effects);
        return;
      case "dial-failed":
        this.#roster.dialFailed(now, input.peer);
        this.#dial(now, effects);
        return;
      case "disconnected":
        this.#lose(now, input.peer, effects);
        this.#dial(now, effects);
        return;
      case "received":
        this.#receive(now, input, effects);
        return;
      case "block-stored":
        this.#downloads.stored(now, input.from, input, effects);
        this.#downloads.ask(now, effects);
        return;
      case "store-failed":
        this.#downloads.pause(now, input.from, input.piece, effects);
        return;
      case "resumed":
        this.#downloads.resume(now, effects);
        return;
      case "block-sent": {
        const to = this.#neighbours.get(input.to);
        if (to !== undefined) this.#uploads.sent(now, to);
        return;
      }
      case "read-failed": {
        const to = this.#neighbours.get(input.to);
        if (to !== undefined) this.#serving.unread(now, to, input.piece, effects);
        return;
      }
      case "urged":
        this.#uploads.urge(input.isUrgent);
        this.#downloads.urge(input.isUrgent);
        this.#downloads.ask(now, effects);
        return;
      case "room-left":
        this.#downloads.ask(now, effects);
        return;
      case "wake":
        return;
      default:
        input satisfies never;
        return;
    }
  }

  #miss(now: Instant, pieces: readonly number[], effects: SwarmEffect[]): void {
    if (pieces.length === 0) return;
    this.#downloads.miss(pieces);
    this.#downloads.ask(now, effects);
    this.#dial(now, effects);
  }

  #dial(now: Instant, effects: SwarmEffect[]): void {
    if (!this.#pieces.isIncomplete) return;
    const room = this.#neighboursMax - this.#neighbours.size;
    for (const peer of this.#roster.dial(now, room)) effects.push({ kind: "dial", peer });
    if (this.#roster.seeks(now, this.#neighbours.size)) effects.push({ kind: "seek" });
  }

  #complete(now: Instant, piece: number, effects: SwarmEffect[]): void {
    if (!this.#pieces.add(piece)) return;
    this.#downloads.complete(piece, effects);
    this.#announcing.complete(now, piece, effects);
    this.#offers.complete(piece);
  }

  /** Others believe that we have it until they ask; to us it is as if we had never had it. */
  #unhold(now: Instant, piece: number, effects: SwarmEffect[]): void {
    if (!this.#pieces.remove(piece)) return;
    for (const neighbour of this.#neighbours.values()) {
      if (!neighbour.has.has(piece)) this.#offers.copied(neighbour, piece, -1);
      this.#offers.turn(neighbour);
    }
    if (this.#pieces.isMissing(piece)) this.#miss(now, [piece], effects);
  }

  /** A sole giver is to blame; of several nobody is, and the piece comes from one next time. */
  #blame(now: Instant, piece: number, effects: SwarmEffect[]): void {
    const [giver, ...others] = this.#downloads.corrupt(now, piece);
    if (giver !== undefined && others.length === 0) {
      const verdict = this.#roster.strike(now, giver);
      if (this.#neighbours.has(giver)) {
        this.#drop(now, giver, verdict === "banned" ? "banned" : "corrupt piece", effects);
      }
    }
    this.#downloads.ask(now, effects);
    this.#dial(now, effects);
  }

  #welcome(now: Instant, peer: PeerId, role: PeerRole, effects: SwarmEffect[]): void {
    const isWelcome = this.#roster.connected(now, peer, role);
    if (!isWelcome || !this.#hasRoom(now, role, effects)) {
      const reason = isWelcome ? "no room for another peer" : "banned";
      this.#roster.disconnected(now, peer);
      effects.push({ kind: "disconnect", peer, reason });
      return;
    }
    const { neighbour, settled } = this.#placed.add(now, peer, role);
    this.#uploads.add(neighbour);
    this.#offers.add(now, neighbour, settled);
    if (this.#role === "relay" && role === "agent") return;
    this.#announcing.add(neighbour);
    if (this.#pieces.have.count === 0) return;
    const message = { kind: "bitfield", bits: this.#pieces.have.toBytes() } as const;
    effects.push({ kind: "send", to: peer, message });
  }

  /** True when there is room, or some was made by dropping somebody. */
  #hasRoom(now: Instant, role: PeerRole, effects: SwarmEffect[]): boolean {
    if (this.#neighbours.size < this.#neighboursMax) return true;
    const victim = whomToEvict(now, role, this.#neighbours.values(), (neighbour) =>
      this.#uploads.isIdle(neighbour),
    );
    if (victim === undefined) return false;
    this.#drop(now, victim.peer, "evicted for another peer", effects);
    return true;
  }

  #drop(now: Instant, peer: PeerId, reason: DisconnectReason, effects: SwarmEffect[]): void {
    effects.push({ kind: "disconnect", peer, reason });
    this.#lose(now, peer, effects);
  }

  #lose(now: Instant, peer: PeerId, effects: SwarmEffect[]): void {
    const neighbour = this.#neighbours.get(peer);
    if (neighbour === undefined) return;
    this.#mayUpload = true;
    this.#downloads.lose(neighbour);
    this.#uploads.remove(neighbour);
    this.#offers.remove(neighbour);
    this.#announcing.remove(neighbour);
    this.#placed.remove(neighbour);
    this.#roster.disconnected(now, peer);
    this.#downloads.ask(now, effects);
  }

  #receive(now: Instant, fact: SwarmInput & { kind: "received" }, effects: SwarmEffect[]): void {
    const { from, message } = fact;
    const neighbour = this.#placed.find(from, fact.place);
    if (neighbour === undefined) {
      if (message.kind === "block") effects.push({ kind: "drop-block", from });
      return;
    }
    switch (message.kind) {
      case "bitfield":
        this.#learn(now, neighbour, piecesOf(message.bits), effects);
        return;
      case "have":
        this.#learn(now, neighbour, message.pieces, effects);
        return;
      case "offer":
        this.#downloads.offered(now, neighbour, message, effects);
        return;
      case "request":
        this.#requested(now, neighbour, message, effects);
        return;
      case "got":
        this.#uploads.got(now, neighbour);
        this.#offers.turn(neighbour);
        return;
      case "cancel":
        this.#uploads.cancel(neighbour, message.piece);
        this.#offers.givenUp(neighbour, message.piece);
        return;
      case "decline":
        this.#offers.declined(neighbour, message.piece);
        return;
      case "refuse":
        this.#downloads.refused(now, neighbour, message, effects);
        return;
      case "block": {
        const isExpected = this.#downloads.receive(now, neighbour, message, effects);
        this.#announcing.ride(now, neighbour, effects);
        if (isExpected) this.#downloads.ask(now, effects);
        else this.#drop(now, from, "protocol violation", effects);
        return;
      }
      default:
        message satisfies never;
        return;
    }
  }

  #learn(
    now: Instant,
    neighbour: Neighbour,
    pieces: readonly number[],
    effects: SwarmEffect[],
  ): void {
    if (!this.#downloads.noteHas(neighbour, pieces)) this.#hearNoise(now, neighbour, effects);
    else if (this.#downloads.isStarved) this.#downloads.ask(now, effects);
  }

  #requested(now: Instant, neighbour: Neighbour, block: Block, effects: SwarmEffect[]): void {
    const verdict = this.#serving.requested(now, neighbour, block, effects);
    if (verdict === "noise") this.#hearNoise(now, neighbour, effects);
    else if (verdict === "violation") {
      this.#drop(now, neighbour.peer, "protocol violation", effects);
    }
  }

  #hearNoise(now: Instant, neighbour: Neighbour, effects: SwarmEffect[]): void {
    neighbour.noise += 1;
    if (neighbour.noise > NOISE_MAX) this.#drop(now, neighbour.peer, "noise", effects);
  }

  /** Looks at everything that time alone changes, and sets the alarm anew. */
  #expire(now: Instant, effects: SwarmEffect[]): void {
    this.#alarm.clear();
    this.#mayUpload = true;
    for (const neighbour of this.#downloads.expire(now, effects)) {
      if (neighbour.timeouts < TIMED_OUT_TIMES_MAX) continue;
      this.#drop(now, neighbour.peer, "timed out", effects);
    }
    for (const { peer } of this.#uploads.stalled(now)) {
      this.#drop(now, peer, "stalled reader", effects);
    }
    this.#offers.expire(now);
    this.#announcing.expire(now, effects);
    this.#downloads.ask(now, effects);
    this.#dial(now, effects);
    this.#downloads.setAlarm(now);
    this.#uploads.expire(now);
    this.#offers.setAlarm(now);
    if (this.#pieces.isIncomplete) this.#roster.setAlarm(now);
  }
}
