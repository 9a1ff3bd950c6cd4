// The campaign of one simulated replica for the leader's place: the machine of production, on its way to the
// cluster's store. What it does while it leads is its owner's.
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
import { type Process, Stepper } from "./process.ts";
import type { StoreClient } from "./store-client.ts";
import type { StoredEntry, StoreModel } from "./store-model.ts";

export interface CandidateOptions {
  readonly process: Process;
  readonly store: StoreClient;
  /** It leads from now on, under this epoch, which was written at this revision. */
  readonly onLead: (epoch: number, revision: number) => void;
  /** It leads no more. */
  readonly onStepDown: () => void;
}

export class Candidate {
  readonly #options: CandidateOptions;
  #campaign = new Campaign(LEADER_TIMES);
  #stepper: Stepper<CampaignInput, CampaignEffect> | undefined;
  #leader: string | undefined;
  #seenRevision = 0;

  constructor(options: CandidateOptions) {
    this.#options = options;
  }

  /** Who leads, as far as it knows. */
  get leader(): string | undefined {
    return this.#leader;
  }

  /** Whether it may decide at this moment. */
  get leads(): boolean {
    return this.#campaign.leadsAt(this.#options.process.now);
  }

  /** Begins anew, in a life of its process that has begun. */
  start(): void {
    const { process, store } = this.#options;
    this.#campaign = new Campaign(LEADER_TIMES);
    this.#leader = undefined;
    this.#seenRevision = 0;
    this.#stepper = new Stepper(process, "campaign", this.#campaign, (effect) =>
      this.#perform(effect),
    );
    store.watch(
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

  /** Hands over, if it leads. */
  resign(): void {
    this.#stepper?.input({ kind: "resign-asked" });
  }

  /** A write under this epoch was refused. */
  fenced(epoch: number): void {
    this.#stepper?.input({ kind: "fenced", epoch });
  }

  #look(): void {
    this.#options.store.read(
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
    const { store, onLead, onStepDown } = this.#options;
    const tell = (input: CampaignInput): void => this.#stepper?.input(input);
    switch (effect.kind) {
      case "look":
        this.#look();
        return;
      case "grant":
        store.grant(LEADER_TIMES.ttlMs, (answer) => {
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
        store.keepAlive(lease, (answer) => {
          if (answer.kind !== "answered") return;
          tell(answer.value ? { kind: "kept", lease, askedAt } : { kind: "lease-lost", lease });
        });
        return;
      }
      case "revoke":
        store.revoke(effect.lease);
        return;
      case "lead":
        onLead(effect.epoch, effect.revision);
        return;
      case "step-down":
        onStepDown();
        return;
      default:
        throw effect satisfies never;
    }
  }

  #run(lease: string, tell: (input: CampaignInput) => void): void {
    const { process, store } = this.#options;
    // Where it was elected all the same, its lease is given back, and the place with it.
    const failed = { kind: "not-elected", lease } as const;
    store.read(electionReads, (read) => {
      if (read.kind !== "answered") return tell(failed);
      const { epoch, raised, compares } = electionChange(read.value);
      const operations = [
        { put: LEADER_KEY, value: { replica: process.name, epoch }, lease },
        { put: EPOCH_KEY, value: raised },
      ];
      store.transact({ compares, operations }, (answer) => {
        const isElected = answer.kind === "answered" && answer.value.committed;
        if (!isElected) return tell(failed);
        tell({ kind: "elected", lease, epoch, revision: answer.value.revision });
      });
    });
  }
}

function electionReads(model: StoreModel): ElectionReads {
  const found = (key: string) => {
    const entry = model.get(key);
    return entry && { value: entry.value, modRevision: entry.modRevision };
  };
  return { epoch: found(EPOCH_KEY) as ElectionReads["epoch"], behind: found(BEHIND_KEY) };
}
