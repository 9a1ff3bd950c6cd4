// The relay's stream to the leader: hello first, then reports up and commands down. It comes back with
// full-jitter waits, to the next address each time or to where a replica says that the leader is, and leaves
// who is silent. It carries out nothing itself.

import { type ServiceError, status } from "@grpc/grpc-js";
import { LeaderStream } from "../core/leadership/leader-gate.ts";
import {
  type ConnectRelayRequest,
  type ConnectRelayResponse,
  type RelayHello,
  type RelayMemory,
  RelayServiceClient,
} from "../proto/gen/millrace/v1/fleet.ts";
import { monotonicNow } from "../runtime/driver.ts";
import { connect } from "../runtime/grpc/client.ts";
import type { Log } from "../runtime/log.ts";
import { BackOff, pause } from "../runtime/program/back-off.ts";
import type { CommandGate } from "./command-gate.ts";

const BACK_OFF_MS_FIRST = 100;
/** A new leader is there within 4 s: who asks each second finds it soon. */
const BACK_OFF_MS_LAST = 1_000;
/** A stream on which no leader speaks in that time is left for another replica's. */
const GREETED_MS = 3_000;
/** A leader that has not spoken for so many of its times to live is left; one may be a busy machine. */
const SILENT_TTLS = 2;
/** Messages waiting for a slow control plane; a report replaces the ones before it anyway. */
const UNSENT_MAX = 64;

export type Command = NonNullable<ConnectRelayResponse["command"]>;
type Message = NonNullable<ConnectRelayRequest["message"]>;
type Stream = ReturnType<InstanceType<typeof RelayServiceClient>["connectRelay"]>;

export interface ControlLinkOptions {
  readonly addresses: readonly string[];
  readonly hello: () => RelayHello;
  readonly gate: CommandGate;
  readonly log: Log;
  /** A new stream begins; what it says first is a snapshot. */
  readonly onBegin: () => void;
  /** The leader lives until `gate.ledUntil`; it is the first word of its on this stream. */
  readonly onLed: (isFirst: boolean) => void;
  /** A command that may be obeyed. */
  readonly onCommand: (command: Command) => void;
  /** What is known of decisions, for a control plane whose store may be older; asked before it leads. */
  readonly memory: () => Iterable<RelayMemory>;
}

/** Keeps one stream to the control plane. */
export class ControlLink {
  readonly #options: ControlLinkOptions;
  readonly #backOff = new BackOff(BACK_OFF_MS_FIRST, BACK_OFF_MS_LAST);
  readonly #stopped = new AbortController();
  readonly #running: Promise<void>;
  #stream: Stream | undefined;
  #leader = new LeaderStream<Command>();
  /** Why a leader did not take this relay, as it was said last. */
  #refusal = "";
  #comeBack: Extract<Command, { $case: "reconnect" }>["reconnect"] | undefined;
  #silence: NodeJS.Timeout | undefined;

  constructor(options: ControlLinkOptions) {
    this.#options = options;
    this.#running = this.#run();
  }

  /** Whether a leader has spoken on the stream. */
  get isUp(): boolean {
    return this.#leader.isUp;
  }

  /** Sends where a leader listens; false where none does or it is too slow. */
  send(message: Message): boolean {
    const stream = this.#stream;
    if (stream === undefined || !this.isUp || stream.writableLength > UNSENT_MAX) return false;
    stream.write({ message });
    return true;
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    this.#stream?.end();
    this.#stream?.cancel();
    await this.#running;
  }

  async #run(): Promise<void> {
    for (let turn = 0; !this.#stopped.signal.aborted; turn += 1) {
      const { addresses } = this.#options;
      const leader = this.#comeBack?.address || undefined;
      this.#comeBack = undefined;
      await this.#session(leader ?? (addresses[turn % addresses.length] as string));
      await pause(this.#waitMs(), this.#stopped.signal);
    }
  }

  #waitMs(): number {
    return this.#comeBack?.afterMs ?? this.#backOff.next();
  }

  /** One stream from its beginning to its end. */
  async #session(address: string): Promise<void> {
    const { log, hello, onBegin } = this.#options;
    const client = connect(RelayServiceClient, address);
    const stream = client.connectRelay();
    let isRefused = false;
    const ended = new Promise<string>((resolve) => {
      stream.on("error", (error: ServiceError) => {
        isRefused = error.code === status.FAILED_PRECONDITION;
        resolve(error.details || error.message);
      });
      stream.on("end", () => resolve("ended by the control plane"));
    });
    stream.on("data", (response: ConnectRelayResponse) => this.#tryTake(response.command));
    this.#stream = stream;
    onBegin();
    this.#leaveAfter(GREETED_MS);
    stream.write({ message: { $case: "hello", hello: hello() } });
    const reason = await ended;
    clearTimeout(this.#silence);
    if (isRefused) this.#refused(address, reason);
    else if (this.isUp) log.warn({ address, reason }, "lost the control plane");
    else log.debug({ address, reason }, "control plane not reached");
    stream.cancel();
    client.close();
    this.#stream = undefined;
    this.#leader = new LeaderStream();
  }

  /** It will be so the next time too, so that it is said once. */
  #refused(address: string, reason: string): void {
    if (reason === this.#refusal) return;
    this.#refusal = reason;
    this.#options.log.error({ address, reason }, "the control plane does not take this relay");
  }

  /** A command that cannot be kept on disk is not obeyed; the next stream says it again. */
  #tryTake(command: Command | undefined): void {
    if (command === undefined || this.#stopped.signal.aborted) return;
    try {
      this.#take(command);
    } catch (error) {
      this.#options.log.error({ err: error, command: command.$case }, "could not obey");
      this.#leave("a command could not be obeyed");
    }
  }

  #take(command: Command): void {
    if (command.$case === "reconnect") {
      this.#comeBack = command.reconnect;
      this.#leave("told to come back");
    } else if (command.$case === "heartbeat") {
      this.#hear(command.heartbeat);
    } else if (command.$case === "recall") {
      const { memory: recall } = this.#options;
      for (const memory of recall()) this.#stream?.write({ message: { $case: "memory", memory } });
    } else {
      const verdict = this.#leader.take(command, this.#options.gate.isLed(monotonicNow()));
      if (verdict === "obey") this.#obey(command);
      if (verdict === "full") this.#leave("too many commands and no heartbeat");
    }
  }

  #hear(heartbeat: Extract<Command, { $case: "heartbeat" }>["heartbeat"]): void {
    const { gate, log, onLed } = this.#options;
    if (!gate.hear(monotonicNow(), heartbeat)) {
      log.warn({ epoch: heartbeat.epoch, highest: gate.epoch }, "refused a leader of old");
      this.#leave("its leader is of an old epoch");
      return;
    }
    const { isFirst, held } = this.#leader.led();
    if (isFirst) log.info({ epoch: heartbeat.epoch }, "follows a leader");
    this.#refusal = "";
    this.#backOff.reset();
    this.#leaveAfter(Math.max(GREETED_MS, SILENT_TTLS * heartbeat.ttlMs));
    onLed(isFirst);
    for (const command of held) this.#obey(command);
  }

  #obey(command: Command): void {
    const { gate, log, onCommand } = this.#options;
    if (gate.accepts(command)) onCommand(command);
    else log.warn({ command: command.$case, highest: gate.epoch }, "refused an old command");
  }

  #leaveAfter(silentMs: number): void {
    clearTimeout(this.#silence);
    this.#silence = setTimeout(() => this.#leave("no leader speaks on it"), silentMs);
  }

  #leave(reason: string): void {
    this.#options.log.debug({ reason }, "leaves the control plane's stream");
    this.#stream?.cancel();
  }
}
