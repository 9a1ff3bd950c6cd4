// A simulated relay's lines to the others of its region, over which they tell each other which machines have come from
// one to the other, as relay/roster-links.ts keeps them: the one with the lower name dials, and comes back.
import { type Backoff, backoffMs } from "../../core/fleet/agent-backoff.ts";
import type { Claim, MoveInput, MoveTold } from "../../core/rollout/newcomers.ts";
import type { End, Listener, Network } from "./lines.ts";
import type { Process } from "./process.ts";

const BACKOFF: Backoff = { firstMs: 100, mostMs: 5_000 };

export type SiblingSays =
  | { readonly kind: "hello" }
  | { readonly kind: "claim" | "cede"; readonly claim: Claim };

type SiblingLine = End<SiblingSays, SiblingSays>;

export interface SiblingLinesOptions {
  readonly process: Process;
  readonly network: Network;
  /** All relays of the region. */
  readonly mates: () => readonly Listener<SiblingSays, SiblingSays>[];
  readonly onMove: (fact: MoveInput) => void;
}

export class SiblingLines {
  readonly #options: SiblingLinesOptions;
  readonly #lines = new Map<string, SiblingLine>();
  readonly #dialling = new Set<string>();
  #siblings: readonly string[] = [];

  constructor(options: SiblingLinesOptions) {
    this.#options = options;
  }

  /** The others that are connected to the leader. */
  siblings(names: readonly string[]): void {
    this.#siblings = names;
    for (const name of names) this.#dial(name, 0);
  }

  /** One with a lower name has dialled. */
  accept(line: SiblingLine): void {
    line.onMessage = () => this.#keep(line, () => {});
  }

  /** Tells a sibling of a machine; where no line leads there, `onMove` says when one does. */
  move({ kind, relay, claim }: MoveTold): void {
    this.#lines.get(relay)?.send({ kind, claim }, true);
  }

  #dial(name: string, failures: number): void {
    const { process, network, mates } = this.#options;
    if (name <= process.name || this.#lines.has(name) || this.#dialling.has(name)) return;
    const mate = mates().find((one) => one.process.name === name);
    if (mate === undefined || !this.#siblings.includes(name)) return;
    this.#dialling.add(name);
    const again = (count: number): void => {
      const waitMs = process.ground.random() * backoffMs(BACKOFF, count);
      process.after(waitMs, () => this.#dial(name, count));
    };
    network.dial<SiblingSays, SiblingSays>(process, mate, (line) => {
      this.#dialling.delete(name);
      if (line === undefined) {
        again(failures + 1);
        return;
      }
      line.send({ kind: "hello" });
      this.#keep(line, () => again(1));
    });
  }

  #keep(line: SiblingLine, onGone: () => void): void {
    const { onMove } = this.#options;
    const relay = line.peer;
    this.#lines.get(relay)?.close();
    this.#lines.set(relay, line);
    line.onMessage = (said) => {
      if (said.kind === "claim") onMove({ kind: "claimed", relay, claim: said.claim });
      if (said.kind === "cede") onMove({ kind: "ceded", relay, claim: said.claim });
    };
    line.onGone = () => {
      if (this.#lines.get(relay) === line) this.#lines.delete(relay);
      onGone();
    };
    onMove({ kind: "linked", relay });
  }
}
