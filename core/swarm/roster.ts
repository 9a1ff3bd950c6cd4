// The peers that we know of: whom to dial when, when to ask for more, who has given corrupt pieces, who is banned.
// It holds no connection and knows nothing of pieces.
import type { Instant } from "../machine.ts";
import type { Alarm } from "./alarm.ts";
import {
  DIAL_YIELD_MS,
  DIALS_FAILED_MAX,
  DIALS_MAX,
  KNOWN_MAX,
  NEIGHBOURS_MIN,
  REDIAL_MS_MAX,
  REDIAL_MS_MIN,
  RELAY_BAN_MS,
  SEEK_MS_MAX,
  SEEK_MS_MIN,
  STRIKES_MAX,
} from "./limits.ts";
import type { PeerId, PeerRole } from "./message.ts";
import type { Random } from "./random.ts";

interface Known {
  readonly peer: PeerId;
  role: PeerRole;
  /** We were given its address. */
  isIntroduced: boolean;
  state: "idle" | "dialing" | "connected";
  dialAt: Instant;
  /** Dials, or connections of short life, that failed in a row. */
  failures: number;
  connectedAt: Instant;
  strikes: number;
  bannedUntil: Instant;
}

export interface RosterOptions {
  readonly self: PeerId;
  readonly role: PeerRole;
  readonly random: Random;
  readonly alarm: Alarm;
}

export class Roster {
  readonly #options: RosterOptions;
  readonly #known = new Map<PeerId, Known>();
  #dialing = 0;
  /** When to look whether there are enough neighbours; undefined: there are. */
  #seekAt: Instant | undefined;
  #seekMs = SEEK_MS_MIN;

  constructor(options: RosterOptions) {
    this.#options = options;
  }

  /** Learns that a peer can be dialled. */
  introduce(now: Instant, peer: PeerId, role: PeerRole): void {
    if (peer === this.#options.self) return;
    const known = this.#known.get(peer) ?? this.#add(now, peer, role);
    if (known === undefined || known.isIntroduced) return;
    known.isIntroduced = true;
    known.role = role;
    if (known.state !== "idle") return;
    known.dialAt = Math.max(known.dialAt, now + this.#yieldMs(known));
    this.#options.alarm.set(known.dialAt);
  }

  /** A peer is not to be dialled any more. */
  forget(peer: PeerId): void {
    const known = this.#known.get(peer);
    if (known === undefined) return;
    known.isIntroduced = false;
    this.#dropIfBlank(known);
  }

  /** Takes the peers to dial now, relays first. */
  dial(now: Instant, room: number): PeerId[] {
    const count = Math.min(room, DIALS_MAX) - this.#dialing;
    if (count <= 0) return [];
    const due = [...this.#known.values()].filter(
      (one) => this.#isDialable(one) && one.dialAt <= now,
    );
    due.sort((a, b) => Number(b.role === "relay") - Number(a.role === "relay"));
    const chosen = due.slice(0, count);
    for (const known of chosen) known.state = "dialing";
    this.#dialing += chosen.length;
    return chosen.map((known) => known.peer);
  }

  /** True when it is time to ask for more peers, as so few are connected or dialled. Sets the alarm for the next time. */
  seeks(now: Instant, connected: number): boolean {
    if (this.#options.role === "relay" || connected + this.#dialing >= NEIGHBOURS_MIN) {
      this.#seekAt = undefined;
      this.#seekMs = SEEK_MS_MIN;
      return false;
    }
    this.#seekAt ??= now + this.#seekMs;
    const isDue = this.#seekAt <= now;
    if (isDue) {
      this.#seekMs = Math.min(SEEK_MS_MAX, 2 * this.#seekMs);
      this.#seekAt = now + this.#seekMs;
    }
    this.#options.alarm.set(this.#seekAt);
    return isDue;
  }

  /** Notes a connection; false when the peer is banned. */
  connected(now: Instant, peer: PeerId, role: PeerRole): boolean {
    const known = this.#known.get(peer) ?? this.#add(now, peer, role);
    if (known === undefined) return true;
    if (known.state === "dialing") this.#dialing -= 1;
    known.state = "connected";
    known.connectedAt = now;
    return known.bannedUntil <= now;
  }

  dialFailed(now: Instant, peer: PeerId): void {
    const known = this.#known.get(peer);
    if (known?.state !== "dialing") return;
    this.#dialing -= 1;
    known.state = "idle";
    this.#backOff(now, known);
    const isHopeless = known.failures >= DIALS_FAILED_MAX && known.role === "agent";
    if (isHopeless) this.forget(peer);
  }

  disconnected(now: Instant, peer: PeerId): void {
    const known = this.#known.get(peer);
    if (known?.state !== "connected") return;
    known.state = "idle";
    if (now - known.connectedAt > REDIAL_MS_MAX) known.failures = 0;
    this.#backOff(now, known);
    this.#dropIfBlank(known);
  }

  /** Counts a corrupt piece that a peer gave alone; at the last it is banned. */
  strike(now: Instant, peer: PeerId): "warned" | "banned" {
    const known = this.#known.get(peer) ?? this.#add(now, peer, "agent");
    if (known === undefined) return "warned";
    known.strikes += 1;
    if (known.strikes < STRIKES_MAX) return "warned";
    known.strikes = 0;
    known.bannedUntil = known.role === "relay" ? now + RELAY_BAN_MS : Number.POSITIVE_INFINITY;
    known.dialAt = known.bannedUntil;
    return "banned";
  }

  /** Sets the alarm for when someone else can be dialled. */
  setAlarm(now: Instant): void {
    for (const known of this.#known.values()) {
      if (known.dialAt > now && this.#isDialable(known)) this.#options.alarm.set(known.dialAt);
    }
  }

  /** Agents dial relays and each other; relays dial relays. */
  #isDialable(known: Known): boolean {
    if (!known.isIntroduced || known.state !== "idle") return false;
    return this.#options.role === "agent" || known.role === "relay";
  }

  /** Of two that dial each other one waits, so that they rarely meet half way. */
  #yieldMs(known: Known): number {
    if (known.role !== this.#options.role || this.#options.self < known.peer) return 0;
    return DIAL_YIELD_MS;
  }

  #backOff(now: Instant, known: Known): void {
    const delayMs = Math.min(REDIAL_MS_MAX, REDIAL_MS_MIN * 2 ** Math.min(known.failures, 10));
    known.failures += 1;
    known.dialAt = Math.max(
      known.bannedUntil,
      now + delayMs * (0.5 + 0.5 * this.#options.random()),
    );
    this.#options.alarm.set(known.dialAt);
  }

  #add(now: Instant, peer: PeerId, role: PeerRole): Known | undefined {
    if (this.#known.size >= KNOWN_MAX && !this.#makeRoom()) return undefined;
    const known: Known = {
      peer,
      role,
      isIntroduced: false,
      state: "idle",
      dialAt: now,
      failures: 0,
      connectedAt: now,
      strikes: 0,
      bannedUntil: 0,
    };
    this.#known.set(peer, known);
    return known;
  }

  /** Forgets the longest known idle agent, banned ones last. */
  #makeRoom(): boolean {
    const idle = [...this.#known.values()].filter(
      (one) => one.state === "idle" && one.role === "agent",
    );
    const victim = idle.find((one) => one.strikes === 0 && one.bannedUntil === 0) ?? idle[0];
    return victim !== undefined && this.#known.delete(victim.peer);
  }

  #dropIfBlank(known: Known): void {
    const isBlank = !known.isIntroduced && known.strikes === 0 && known.bannedUntil === 0;
    if (isBlank && known.state === "idle") this.#known.delete(known.peer);
  }
}
