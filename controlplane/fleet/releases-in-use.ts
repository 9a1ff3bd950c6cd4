// Which releases machines run, bring to disk, or would go back to: only relays know, so they are asked. A region that
// does not answer makes the answer unknown, for a while; its machines keep what they run on their own disks.
import { usesUnanswered, whyUsesUnknown } from "../../core/fleet/uses-question.ts";
import type { Instant } from "../../core/machine.ts";
import type { UsesAnswer } from "../../proto/gen/millrace/v1/fleet.ts";
import type { RelayHub } from "./relay-hub.ts";

/** A relay answers from memory. */
const ANSWER_MS_MAX = 2_000;

/** What machines have; `unknown`: who did not say. */
export type ReleasesInUse =
  | { readonly known: true; readonly digests: ReadonlySet<string> }
  | { readonly known: false; readonly unknown: string };

interface Pending {
  readonly relay: string;
  readonly digests: Set<string>;
  readonly done: (isAnswered: boolean) => void;
}

export class UsesDirectory {
  readonly #hub: RelayHub;
  readonly #now: () => Instant;
  readonly #beganAt: Instant;
  readonly #pending = new Map<number, Pending>();
  #query = 0;

  constructor(hub: RelayHub, now: () => Instant) {
    this.#hub = hub;
    this.#now = now;
    this.#beganAt = now();
  }

  /** Asks all relays. Regions whose relays have all been away for `awayMs` of this term are not waited for. */
  async find(awayMs: number): Promise<ReleasesInUse> {
    const { sessions, known } = this.#hub;
    const now = this.#now();
    const asked = sessions.map(({ relay, region, settlesAt }) => ({
      ...{ relay, region, isSettled: settlesAt <= now },
    }));
    const unknown = whyUsesUnknown(known, asked, { forMs: now - this.#beganAt, awayMs });
    if (unknown !== "") return { known: false, unknown };
    const digests = new Set<string>();
    const answers = await Promise.all(sessions.map(({ relay }) => this.#ask(relay, digests)));
    const silent = sessions.filter((_, index) => answers[index] !== true);
    if (silent.length === 0) return { known: true, digests };
    return { known: false, unknown: usesUnanswered(silent.map(({ relay }) => relay)) };
  }

  answered(relay: string, { query, releases, last }: UsesAnswer): void {
    const pending = this.#pending.get(query);
    if (pending?.relay !== relay) return;
    for (const digest of releases) pending.digests.add(digest.toString("hex"));
    if (last) pending.done(true);
  }

  /** A relay has gone and will not answer. */
  left(relay: string): void {
    for (const pending of this.#pending.values()) if (pending.relay === relay) pending.done(false);
  }

  #ask(relay: string, digests: Set<string>): Promise<boolean> {
    this.#query += 1;
    const query = this.#query;
    return new Promise((resolve) => {
      const timer = setTimeout(() => done(false), ANSWER_MS_MAX);
      const done = (isAnswered: boolean): void => {
        clearTimeout(timer);
        this.#pending.delete(query);
        resolve(isAnswered);
      };
      this.#pending.set(query, { relay, digests, done });
      this.#hub.send(relay, { $case: "uses", uses: { query } });
    });
  }
}
