// A control plane that says only what a test has it say: the generated server of RelayService, with
// heartbeats of its own.
import { Server, ServerCredentials, type ServerDuplexStream } from "@grpc/grpc-js";
import {
  type ConnectRelayRequest,
  type ConnectRelayResponse,
  type RelayHello,
  type RelayInfo,
  type RelayReport,
  RelayServiceService,
} from "../../proto/gen/millrace/v1/fleet.ts";
import { Inbox } from "./relay-inbox.ts";

const HEARTBEAT_MS = 200;

export type Command = NonNullable<ConnectRelayResponse["command"]>;
type Stream = ServerDuplexStream<ConnectRelayRequest, ConnectRelayResponse>;

/** One relay's stream as the control plane sees it. */
export class RelayLine {
  readonly hello: RelayHello;
  readonly messages = new Inbox<NonNullable<ConnectRelayRequest["message"]>>();
  readonly #stream: Stream;

  constructor(stream: Stream, hello: RelayHello) {
    this.#stream = stream;
    this.hello = hello;
  }

  send(...commands: Command[]): void {
    for (const command of commands) this.#stream.write({ command });
  }

  end(): void {
    this.#stream.end();
  }

  /** The first report that fits, of those that come from now on. */
  report(what: string, fits: (report: RelayReport) => boolean): Promise<RelayReport> {
    return this.messages.find(
      `report with ${what}`,
      (message) => message.$case === "report" && fits(message.report) && message.report,
      Math.max(0, this.messages.all.length - 1),
    );
  }

  get reports(): RelayReport[] {
    return this.messages.all.flatMap((one) => (one.$case === "report" ? [one.report] : []));
  }

  info(): RelayInfo {
    const { relay, region, address, swarmAddress, capacity } = this.hello;
    return { id: relay, region, address, swarmAddress, capacity, agents: 0, online: true };
  }
}

/** Listens on a free port of loopback. */
export class ScriptedControlPlane {
  readonly lines = new Inbox<RelayLine>();
  readonly #server: Server;
  readonly #live = new Set<RelayLine>();
  readonly #timer: NodeJS.Timeout;
  /** What each stream begins with, after the heartbeat. */
  snapshot: (line: RelayLine) => Command[] = () => [];
  epoch: number;
  isBeating = true;
  port = 0;

  private constructor(server: Server, epoch: number) {
    this.#server = server;
    this.epoch = epoch;
    this.#timer = setInterval(() => {
      if (this.isBeating) for (const line of this.#live) line.send(this.heartbeat());
    }, HEARTBEAT_MS);
  }

  static async start(epoch = 1): Promise<ScriptedControlPlane> {
    const server = new Server();
    const self = new ScriptedControlPlane(server, epoch);
    server.addService(RelayServiceService, {
      connectRelay: (stream: Stream) => self.#accept(stream),
    });
    self.port = await new Promise((resolve, reject) => {
      server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) =>
        error === null ? resolve(port) : reject(error),
      );
    });
    return self;
  }

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  heartbeat(): Command {
    return { $case: "heartbeat", heartbeat: { epoch: this.epoch, ttlMs: 3_000, store: "" } };
  }

  /** The relay's next stream, of those that come from `from` on. */
  line(relay: string, from = 0): Promise<RelayLine> {
    return this.lines.find(`stream of ${relay}`, (one) => one.hello.relay === relay && one, from);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#server.forceShutdown();
  }

  #accept(stream: Stream): void {
    let line: RelayLine | undefined;
    const gone = (): void => {
      if (line !== undefined) this.#live.delete(line);
    };
    stream.on("data", ({ message }: ConnectRelayRequest) => {
      if (message === undefined) return;
      if (message.$case !== "hello") {
        line?.messages.push(message);
        return;
      }
      line = new RelayLine(stream, message.hello);
      this.#live.add(line);
      line.send(this.heartbeat(), ...this.snapshot(line));
      this.lines.push(line);
    });
    stream.on("end", () => stream.end());
    stream.on("error", gone);
    stream.on("cancelled", gone);
    stream.on("close", gone);
  }
}
