// A simulated relay's line to the leader, as relay/control-link.ts keeps it: hello first, then commands that the real
// gate lets through. It goes to the next replica, or to where it is sent, and leaves who is silent.
import { type LeaderGate, LeaderStream } from "../../core/leadership/leader-gate.ts";
import type { End, Listener, Network } from "./lines.ts";
import type { LeaderSays, RelayCommand, RelaySays } from "./messages.ts";
import type { Process } from "./process.ts";

const BACK_OFF_MS_FIRST = 100;
const BACK_OFF_MS_LAST = 1_000;
/** A stream on which no leader speaks in that time is left for another replica's. */
const GREETED_MS = 3_000;
/** A leader that has not spoken for so many of its times to live is left. */
const SILENT_TTLS = 2;
const REDIRECTED_MS = 50;

export type LeaderLine = End<LeaderSays, RelaySays>;

export interface LeaderLinkOptions {
  readonly process: Process;
  readonly network: Network;
  readonly gate: LeaderGate;
  readonly controlPlanes: () => readonly Listener<RelaySays, LeaderSays>[];
  readonly hello: () => RelaySays;
  /** What it remembers of a leader's orders. */
  readonly memory: () => RelaySays;
  /** Keeps an epoch that is higher than all before durably; false: it cannot. */
  readonly keep: (epoch: number) => boolean;
  /** A new stream begins; what it says first is a snapshot. */
  readonly onBegin: () => void;
  readonly onLed: (isFirst: boolean) => void;
  /** A command that may be obeyed; false: it cannot be kept on disk, and the next stream says it again. */
  readonly onCommand: (command: RelayCommand) => boolean;
}

export class LeaderLink {
  readonly #options: LeaderLinkOptions;
  #stream = new LeaderStream<RelayCommand>();
  #line: LeaderLine | undefined;
  #tries = 0;
  #backOffMs = BACK_OFF_MS_FIRST;
  #silence = 0;

  constructor(options: LeaderLinkOptions) {
    this.#options = options;
    this.#connect(undefined);
  }

  /** Whether a leader has spoken on the stream. */
  get isUp(): boolean {
    return this.#line !== undefined && this.#stream.isUp;
  }

  /** Commands that wait for a heartbeat. */
  get heldCount(): number {
    return this.#stream.heldCount;
  }

  send(message: RelaySays): void {
    this.#line?.send(message);
  }

  /** The connection breaks. */
  lose(): void {
    this.#leave(undefined);
  }

  #connect(to: string | undefined): void {
    const { network, controlPlanes, process } = this.#options;
    const all = controlPlanes();
    const named = all.find((one) => one.process.name === to);
    const listener = named ?? all[this.#tries % all.length];
    this.#tries += 1;
    if (listener === undefined) return;
    network.dial<RelaySays, LeaderSays>(process, listener, (line) => {
      if (line === undefined) this.#comeBack();
      else this.#greet(line);
    });
  }

  #comeBack(): void {
    const { process } = this.#options;
    const waitMs = process.ground.random() * this.#backOffMs;
    this.#backOffMs = Math.min(this.#backOffMs * 2, BACK_OFF_MS_LAST);
    process.after(waitMs, () => this.#connect(undefined));
  }

  #greet(line: LeaderLine): void {
    this.#line = line;
    this.#stream = new LeaderStream();
    this.#options.onBegin();
    this.#leaveAfter(GREETED_MS);
    line.onMessage = (message) => this.#take(line, message);
    line.onGone = () => {
      if (line === this.#line) this.#leave(undefined);
    };
    line.send(this.#options.hello());
  }

  #leave(to: string | undefined): void {
    const line = this.#line;
    if (line === undefined) return;
    this.#line = undefined;
    this.#silence += 1;
    line.close();
    this.#stream = new LeaderStream();
    if (to === undefined) this.#comeBack();
    else this.#options.process.after(REDIRECTED_MS, () => this.#connect(to));
  }

  #leaveAfter(ms: number): void {
    this.#silence += 1;
    const silence = this.#silence;
    this.#options.process.after(ms, () => {
      if (silence === this.#silence) this.#leave(undefined);
    });
  }

  #take(line: LeaderLine, message: LeaderSays): void {
    if (line !== this.#line) return;
    const { process, gate, onLed } = this.#options;
    if (message.kind === "reconnect") {
      this.#leave(message.to);
    } else if (message.kind === "recall") {
      line.send(this.#options.memory());
    } else if (message.kind === "heartbeat") {
      if (!this.#admit(message.epoch)) {
        this.#leave(undefined);
        return;
      }
      gate.heard(process.now, message.ttlMs);
      this.#backOffMs = BACK_OFF_MS_FIRST;
      this.#leaveAfter(Math.max(GREETED_MS, SILENT_TTLS * message.ttlMs));
      const { isFirst, held } = this.#stream.led();
      onLed(isFirst);
      for (const command of held) this.#obey(command);
    } else {
      const verdict = this.#stream.take(message, gate.isLed(process.now));
      if (verdict === "obey") this.#obey(message);
      if (verdict === "full") this.#leave(undefined);
    }
  }

  #admit(epoch: number): boolean {
    const { gate, keep } = this.#options;
    const verdict = gate.judge(epoch);
    if (verdict === "new") {
      if (!keep(epoch)) return false;
      gate.raise(epoch);
    }
    return verdict !== "old";
  }

  #obey(command: RelayCommand): void {
    const epoch = epochOf(command);
    if (epoch !== undefined && !this.#admit(epoch)) return;
    if (!this.#options.onCommand(command)) this.#leave(undefined);
  }
}

/** The epoch that a command carries; those without one go by their stream's heartbeat. */
export function epochOf(command: RelayCommand): number | undefined {
  switch (command.kind) {
    case "assignments":
      return command.assignments.epoch;
    case "quota":
    case "snapshot-end":
      return command.epoch;
    case "order":
      return command.order.epoch;
    case "count":
    case "uses":
    case "pack":
    case "order-ended":
    case "siblings":
      return undefined;
    default:
      return command satisfies never;
  }
}
