// Runs a replica's campaign on the store: follows the leader's key, carries out what the campaign asks of the
// store, and tells when a term begins and ends. It decides nothing, and knows nothing of what a leader does.
import {
  Campaign,
  type CampaignEffect,
  type CampaignInput,
  LEADER_TIMES,
  SOLE_TIMES,
} from "../../core/leadership/campaign.ts";
import { epochCompare, LEADER_KEY } from "../../core/leadership/election.ts";
import { Driver, monotonicNow } from "../../runtime/driver.ts";
import type { Log } from "../../runtime/log.ts";
import type { Entry, LeaseId, Store, Watch } from "../../runtime/store/store.ts";
import type { Fence } from "../fence.ts";
import { elect, type LeaderRow, parseLeader } from "./leader-row.ts";

/** A watch that could not be opened is tried again after so long. */
const WATCH_RETRY_MS = 1_000;

export interface CandidateOptions {
  readonly store: Store;
  readonly replica: string;
  readonly log: Log;
  /** A term begins here. */
  readonly onLead: (fence: Fence) => void;
  /** The term has ended; nothing is decided or sent under it any more. */
  readonly onStepDown: (epoch: number) => void;
}

/** One replica among those of a store. */
export class Candidate {
  readonly #options: CandidateOptions;
  readonly #campaign: Campaign;
  readonly #ttlMs: number;
  readonly #waiting = new Set<() => void>();
  #underWay = new Set<Promise<void>>();
  #driver: Driver<CampaignInput, CampaignEffect> | undefined;
  #address = "";
  #watch: Watch | undefined;
  #watchTimer: NodeJS.Timeout | undefined;
  #leader: LeaderRow | undefined;
  #seenRevision = 0;
  #isStopped = false;

  constructor(options: CandidateOptions) {
    this.#options = options;
    const times = options.store.isExclusive ? SOLE_TIMES : LEADER_TIMES;
    this.#ttlMs = times.ttlMs;
    this.#campaign = new Campaign(times);
  }

  /** This replica's id. */
  get replica(): string {
    return this.#options.replica;
  }

  /** Where this replica is found; empty before it takes part. */
  get address(): string {
    return this.#address;
  }

  /** Who leads, as far as is known here; undefined: nobody at this moment. */
  get leader(): LeaderRow | undefined {
    return this.#leader;
  }

  /** The leader, where it is another replica. */
  get leaderElsewhere(): LeaderRow | undefined {
    return this.#leader?.replica === this.replica ? undefined : this.#leader;
  }

  /** Follows the leader's key from now on, and takes part; `address` is where this replica is found. */
  async start(address: string): Promise<void> {
    const { store } = this.#options;
    this.#address = address;
    const left = store.isExclusive ? await store.get(LEADER_KEY) : undefined;
    // Whoever it was has gone with the store's lock.
    if (left?.lease !== undefined) await store.revokeLease(left.lease);
    this.#driver = new Driver(this.#campaign, { perform: (effect) => this.#perform(effect) });
    await this.#follow();
  }

  /** Resolves when `holds` does, looked at whenever another leads, or nobody; rejects when it is aborted. */
  async until(
    holds: (leader: LeaderRow | undefined) => boolean,
    signal: AbortSignal,
  ): Promise<void> {
    while (!holds(this.#leader)) {
      signal.throwIfAborted();
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          this.#waiting.delete(wake);
          signal.removeEventListener("abort", wake);
          resolve();
        };
        this.#waiting.add(wake);
        signal.addEventListener("abort", wake);
      });
    }
  }

  /** Hands over, if this replica leads. */
  resign(): void {
    this.#driver?.input({ kind: "resign-asked" });
  }

  /** A write under this epoch was refused. */
  fenced(epoch: number): void {
    this.#driver?.input({ kind: "fenced", epoch });
  }

  /** Gives the place up and takes part no more. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#driver?.input({ kind: "stopped" });
    clearTimeout(this.#watchTimer);
    this.#watch?.close();
    await Promise.all(this.#underWay);
    this.#driver?.stop();
  }

  async #follow(): Promise<void> {
    const { store, log } = this.#options;
    try {
      this.#watch?.close();
      this.#watch = await store.watch(
        { prefix: LEADER_KEY },
        (events) => {
          for (const { type, entry } of events) {
            this.#see(type === "put" ? entry : undefined, entry.modRevision);
          }
        },
        () => this.#followSoon(),
      );
      if (this.#isStopped) this.#watch.close();
      await this.#look();
    } catch (error) {
      log.warn({ err: error }, "the leader's key cannot be followed yet");
      this.#followSoon();
    }
  }

  #followSoon(): void {
    if (this.#isStopped) return;
    clearTimeout(this.#watchTimer);
    this.#watchTimer = setTimeout(() => this.#do(this.#follow()), WATCH_RETRY_MS);
  }

  async #look(): Promise<void> {
    const page = await this.#options.store.range({ prefix: LEADER_KEY, limit: 1 });
    this.#see(page.entries[0], page.revision);
  }

  #see(entry: Entry | undefined, revision: number): void {
    if (revision < this.#seenRevision) return;
    this.#seenRevision = revision;
    this.#leader = entry && parseLeader(entry);
    this.#driver?.input({ kind: "leader-seen", lease: entry?.lease, revision });
    for (const wake of this.#waiting) wake();
  }

  #perform(effect: CampaignEffect): void {
    const { store, log, onLead, onStepDown } = this.#options;
    switch (effect.kind) {
      case "look":
        this.#do(this.#look());
        break;
      case "grant":
        this.#do(this.#grant());
        break;
      case "run":
        this.#do(this.#run(effect.lease));
        break;
      case "keep-alive":
        this.#do(this.#keepAlive(effect));
        break;
      case "revoke":
        this.#do(store.revokeLease(effect.lease));
        break;
      case "lead": {
        const { epoch, revision } = effect;
        const holds = (): boolean => this.#campaign.leadsAt(monotonicNow());
        log.info({ epoch }, "leading");
        onLead({ epoch, revision, compare: epochCompare(effect), holds });
        break;
      }
      case "step-down":
        log.warn({ epoch: effect.epoch, reason: effect.reason }, "leads no more");
        onStepDown(effect.epoch);
        break;
      default:
        throw effect satisfies never;
    }
  }

  /** What fails shows by time passing. */
  #do(work: Promise<void>): void {
    const watched = work
      .catch((error: unknown) => this.#options.log.debug({ err: error }, "store did not answer"))
      .finally(() => this.#underWay.delete(watched));
    this.#underWay.add(watched);
  }

  async #grant(): Promise<void> {
    try {
      const lease = await this.#options.store.grantLease(this.#ttlMs);
      this.#driver?.input({ kind: "lease-granted", lease });
    } catch (error) {
      this.#driver?.input({ kind: "grant-failed" });
      throw error;
    }
  }

  async #run(lease: LeaseId): Promise<void> {
    const { store, replica } = this.#options;
    try {
      const election = await elect(store, lease, { replica, address: this.#address });
      const answer =
        election === undefined ? undefined : ({ kind: "elected", lease, ...election } as const);
      this.#driver?.input(answer ?? { kind: "not-elected", lease });
    } catch (error) {
      // Where it was elected all the same, its lease is given back, and the place with it.
      this.#driver?.input({ kind: "not-elected", lease });
      throw error;
    }
  }

  async #keepAlive({
    lease,
    askedAt,
  }: Extract<CampaignEffect, { kind: "keep-alive" }>): Promise<void> {
    const isKept = await this.#options.store.keepAlive(lease);
    this.#driver?.input(isKept ? { kind: "kept", lease, askedAt } : { kind: "lease-lost", lease });
  }
}
