// One control plane of the simulated cluster: it campaigns with the real machine, and leads for a term where it is
// elected. Relays that come to one that does not lead are sent to who does.
import {
  Campaign,
  type CampaignEffect,
  type CampaignInput,
  LEADER_TIMES,
} from "../../core/leadership/campaign.ts";
import {
  BEHIND_KEY,
  type ElectionReads,
  EPOCH_KEY,
  electionChange,
  LEADER_KEY,
} from "../../core/leadership/election.ts";
import type { BlobModel } from "./blobs.ts";
import { LedTerm } from "./led-term.ts";
import type { Listener } from "./lines.ts";
import type { LeaderSays, RelaySays } from "./messages.ts";
import { type Ground, Process, Stepper } from "./process.ts";
import { FAIR_WEATHER, StoreClient, type StoreWeather } from "./store-client.ts";
import type { StoredEntry, StoreModel } from "./store-model.ts";
import type { FailPoint, LineToRelay } from "./term-host.ts";

/** A relay is held so long by one that does not know who leads. */
const HELD_MS_MAX = 5_000;

export interface ControlPlaneOptions {
  readonly ground: Ground;
  readonly name: string;
  readonly store: StoreModel;
  readonly origin: BlobModel;
  readonly wallMs: () => number;
  readonly storeWeather?: StoreWeather;
  /** A term of this replica begins or ends. */
  readonly onReached: (replica: ControlPlane, point: FailPoint) => void;
  readonly onTerm: (replica: string, epoch: number, isBegun: boolean) => void;
}

export class ControlPlane {
  readonly process: Process;
  readonly store: StoreClient;
  readonly relays: Listener<RelaySays, LeaderSays>;
  readonly #options: ControlPlaneOptions;
  #campaign = new Campaign(LEADER_TIMES);
  #stepper: Stepper<CampaignInput, CampaignEffect> | undefined;
  #term: LedTerm | undefined;
  #leader: string | undefined;
  #seenRevision = 0;

  constructor(options: ControlPlaneOptions) {
    const { ground, name, store, storeWeather = FAIR_WEATHER } = options;
    this.#options = options;
    this.process = new Process(name, ground);
    this.store = new StoreClient(this.process, store, storeWeather);
    this.relays = { process: this.process, accept: (line) => this.#accept(line) };
  }

  get name(): string {
    return this.process.name;
  }

  /** The term in which it leads; undefined: it does not. */
  get term(): LedTerm | undefined {
    return this.#term;
  }

  /** Whether it takes itself for the leader at this moment. */
  get believes(): boolean {
    const { process } = this;
    return process.isUp && !process.isFrozen && this.#campaign.leadsAt(process.now);
  }

  start(): void {
    const { process } = this;
    process.begin();
    this.#campaign = new Campaign(LEADER_TIMES);
    this.#term = undefined;
    this.#leader = undefined;
    this.#seenRevision = 0;
    this.#stepper = new Stepper(process, "campaign", this.#campaign, (effect) =>
      this.#perform(effect),
    );
    this.store.watch(
      LEADER_KEY,
      (events) => {
        for (const { type, entry } of events) {
          this.#see(type === "put" ? entry : undefined, entry.modRevision);
        }
      },
      () => this.#look(),
    );
    this.#look();
  }

  /** kill -9. */
  kill(): void {
    if (!this.process.isUp) return;
    this.#endTerm();
    this.process.end();
  }

  /** Hands over, if it leads. */
  resign(): void {
    if (this.process.isUp) this.#stepper?.input({ kind: "resign-asked" });
  }

  #endTerm(): void {
    const term = this.#term;
    this.#term = undefined;
    if (term === undefined) return;
    term.stop();
    this.#options.onTerm(this.name, term.epoch, false);
  }

  #look(): void {
    this.store.read(
      (model) => ({ entry: model.get(LEADER_KEY), revision: model.revision }),
      (answer) => {
        if (answer.kind === "answered") this.#see(answer.value.entry, answer.value.revision);
      },
    );
  }

  #see(entry: StoredEntry | undefined, revision: number): void {
    if (revision < this.#seenRevision) return;
    this.#seenRevision = revision;
    this.#leader = (entry?.value as { replica: string } | undefined)?.replica;
    this.#stepper?.input({ kind: "leader-seen", lease: entry?.lease, revision });
  }

  #perform(effect: CampaignEffect): void {
    const tell = (input: CampaignInput): void => this.#stepper?.input(input);
    switch (effect.kind) {
      case "look":
        this.#look();
        return;
      case "grant":
        this.store.grant(LEADER_TIMES.ttlMs, (answer) => {
          const isGranted = answer.kind === "answered";
          tell(
            isGranted ? { kind: "lease-granted", lease: answer.value } : { kind: "grant-failed" },
          );
        });
        return;
      case "run":
        this.#run(effect.lease, tell);
        return;
      case "keep-alive": {
        const { lease, askedAt } = effect;
        this.store.keepAlive(lease, (answer) => {
          if (answer.kind !== "answered") return;
          tell(answer.value ? { kind: "kept", lease, askedAt } : { kind: "lease-lost", lease });
        });
        return;
      }
      case "revoke":
        this.store.revoke(effect.lease);
        return;
      case "lead":
        this.#lead(effect.epoch, effect.revision);
        return;
      case "step-down":
        this.#endTerm();
        return;
      default:
        throw effect satisfies never;
    }
  }

  #run(lease: string, tell: (input: CampaignInput) => void): void {
    // Where it was elected all the same, its lease is given back, and the place with it.
    const failed = { kind: "not-elected", lease } as const;
    this.store.read(electionReads, (read) => {
      if (read.kind !== "answered") return tell(failed);
      const { epoch, raised, compares } = electionChange(read.value);
      const operations = [
        { put: LEADER_KEY, value: { replica: this.name, epoch }, lease },
        { put: EPOCH_KEY, value: raised },
      ];
      this.store.transact({ compares, operations }, (answer) => {
        const isElected = answer.kind === "answered" && answer.value.committed;
        if (!isElected) return tell(failed);
        tell({ kind: "elected", lease, epoch, revision: answer.value.revision });
      });
    });
  }

  #lead(epoch: number, revision: number): void {
    this.#endTerm();
    this.#options.onTerm(this.name, epoch, true);
    this.#term = new LedTerm({
      process: this.process,
      store: this.store,
      epoch,
      revision,
      holds: () => this.#campaign.leadsAt(this.process.now),
      origin: this.#options.origin,
      wallMs: this.#options.wallMs,
      onReached: (point) => this.#options.onReached(this, point),
      onLost: () => this.#stepper?.input({ kind: "fenced", epoch }),
    });
  }

  #accept(line: LineToRelay): void {
    let isGreeted = false;
    const heldUntil = this.process.now + HELD_MS_MAX;
    line.onMessage = (message) => {
      if (message.kind !== "hello" || isGreeted) return;
      isGreeted = true;
      this.#admit(line, message, heldUntil);
    };
  }

  #admit(line: LineToRelay, hello: Extract<RelaySays, { kind: "hello" }>, heldUntil: number): void {
    if (!line.isOpen) return;
    if (this.#term !== undefined) {
      this.#term.join(hello, line);
    } else if (this.#leader !== undefined && this.#leader !== this.name) {
      line.send({ kind: "reconnect", to: this.#leader });
    } else if (this.process.now >= heldUntil) {
      line.close();
    } else {
      this.process.after(100, () => this.#admit(line, hello, heldUntil));
    }
  }
}

function electionReads(model: StoreModel): ElectionReads {
  const found = (key: string) => {
    const entry = model.get(key);
    return entry && { value: entry.value, modRevision: entry.modRevision };
  };
  return { epoch: found(EPOCH_KEY) as ElectionReads["epoch"], behind: found(BEHIND_KEY) };
}
