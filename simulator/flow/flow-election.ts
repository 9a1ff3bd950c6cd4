// Who leads a fleet: three replicas of the control plane, each with the campaign of production, and the store in
// which the leader's place is a key on a lease. What a leader does is not its business.
import type { Instant } from "../../core/machine.ts";
import type { Random } from "../../core/swarm/random.ts";
import { Candidate } from "../fleet/candidate.ts";
import { type Ground, Process } from "../fleet/process.ts";
import { FAIR_WEATHER, StoreClient, type StoreWeather } from "../fleet/store-client.ts";
import { StoreModel } from "../fleet/store-model.ts";
import type { FlowClock } from "./flow-clock.ts";

const REPLICAS = 3;
/** A replica that was killed is started again. */
const REPLICA_BACK_MS = 10_000;
/** Of what replicas do, in the trace; the leader is -1, relays and agents count from 0. */
const ELECTION = -2;

/** What an election needs of the fleet. */
export interface ElectionWorld {
  readonly clock: FlowClock;
  readonly random: Random;
  note(who: number, kind: string): void;
  /** One leads now, under a higher epoch than all before. */
  onLead(epoch: number): void;
  /** It leads no more: what it had not written down is lost. */
  onStepDown(): void;
}

interface Replica {
  readonly process: Process;
  readonly candidate: Candidate;
}

export class FlowElection {
  readonly #clock: FlowClock;
  readonly #weather: StoreWeather = { ...FAIR_WEATHER };
  #awayUntil: Instant = 0;
  #leading: Replica | undefined;

  constructor(world: ElectionWorld) {
    const { clock, random } = world;
    this.#clock = clock;
    const ground: Ground = {
      time: clock,
      random,
      trace: { note: (_who, what) => world.note(ELECTION, what) },
      look: () => {},
    };
    const store = new StoreModel(clock);
    for (let index = 0; index < REPLICAS; index += 1) {
      start(this.#newReplica(`controlplane-${index + 1}`, ground, store, world));
    }
  }

  /** kill -9 to the one that leads; false: nobody does. */
  killLeader(): boolean {
    const killed = this.#leading;
    if (killed === undefined) return false;
    killed.process.end();
    this.#clock.in(REPLICA_BACK_MS, () => start(killed));
    return true;
  }

  /** The store answers nobody before. */
  storeAway(until: Instant): void {
    this.#awayUntil = Math.max(this.#awayUntil, until);
    this.#weather.isAway = true;
    this.#clock.at(until, () => {
      if (this.#clock.now >= this.#awayUntil) this.#weather.isAway = false;
    });
  }

  #newReplica(name: string, ground: Ground, model: StoreModel, world: ElectionWorld): Replica {
    const process = new Process(name, ground);
    const store = new StoreClient(process, model, this.#weather);
    const stepDown = (): void => {
      if (this.#leading !== replica) return;
      this.#leading = undefined;
      world.onStepDown();
    };
    const onLead = (epoch: number): void => {
      this.#leading = replica;
      process.onEnd(stepDown);
      world.onLead(epoch);
    };
    const candidate = new Candidate({ process, store, onLead, onStepDown: stepDown });
    const replica = { process, candidate };
    return replica;
  }
}

function start({ process, candidate }: Replica): void {
  process.begin();
  candidate.start();
}
