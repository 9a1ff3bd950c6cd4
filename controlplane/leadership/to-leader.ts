// Services that only the leader can answer, at any replica: it answers itself while it leads, and passes the
// call on to the leader where another does. A call is passed on once; with no leader it is UNAVAILABLE. Who watches
// something through a replica that does not lead stays with it while another is elected.
import {
  Client,
  credentials,
  type MethodDefinition,
  type ServerUnaryCall,
  type ServerWritableStream,
  type ServiceDefinition,
  type ServiceError,
  type sendUnaryData,
  status,
  type UntypedServiceImplementation,
} from "@grpc/grpc-js";
import { CHANNEL_OPTIONS } from "../../runtime/grpc/limits.ts";
import { ending, type RpcError, unavailable } from "../../runtime/grpc/rpc-error.ts";
import { BackOff } from "../../runtime/program/back-off.ts";

/** Marks a call that a replica passed on. */
const PASSED_ON = "millrace-passed-on";
/** Methods that tell a state and then its changes, so that they may be asked again in the middle. */
const WATCHES = new Set(["watchRollout"]);
/** An election takes 4 s, and a term some time to begin. */
const LEADERLESS_MS_MAX = 10_000;
const ASK_AGAIN_MS_FIRST = 100;
const ASK_AGAIN_MS_LAST = 500;

type Method = MethodDefinition<unknown, unknown>;
type Call = ServerUnaryCall<unknown, unknown> | ServerWritableStream<unknown, unknown>;
type Unary = (call: ServerUnaryCall<unknown, unknown>, done: sendUnaryData<unknown>) => void;
type Stream = (call: ServerWritableStream<unknown, unknown>) => void;

/** Hears of a stream that is passed on; who hears of an error decides what becomes of the call. */
interface Passing {
  readonly onMessage?: () => void;
  readonly onError: (error: Pick<ServiceError, "code" | "message">) => void;
}

/** Makes implementations that answer here or at the leader. */
export class ToLeader {
  readonly #leader: () => string | undefined;
  readonly #clients = new Map<string, Client>();
  /** Streams that are passed on, each with what ends that. */
  readonly #streams = new Map<Call, () => void>();

  /** `leader` gives where the API of the leader listens; undefined: no other replica leads. */
  constructor(leader: () => string | undefined) {
    this.#leader = leader;
  }

  /** A service of unary and server-streaming methods; `local` gives its implementation while this replica leads. */
  service(
    definition: ServiceDefinition,
    local: () => UntypedServiceImplementation | undefined,
  ): UntypedServiceImplementation {
    const implementation: UntypedServiceImplementation = {};
    for (const [name, method] of Object.entries(definition) as [string, Method][]) {
      const unary: Unary = (call, done) => {
        const own = local()?.[name] as Unary | undefined;
        if (own !== undefined) own(call, done);
        else this.#passUnary(method, call, done);
      };
      const own = () => local()?.[name] as Stream | undefined;
      const stream: Stream = (call) => {
        const here = own();
        if (here !== undefined) here(call);
        else if (WATCHES.has(name)) this.#passWatch(method, own, call);
        else this.#passStream(method, call);
      };
      implementation[name] = method.responseStream ? stream : unary;
    }
    return implementation;
  }

  /** One method of a service. */
  only(
    definition: ServiceDefinition,
    name: string,
    local: () => UntypedServiceImplementation | undefined,
  ): UntypedServiceImplementation {
    const { [name]: method } = this.service(definition, local);
    return { [name]: method as UntypedServiceImplementation[string] };
  }

  /** Sends those away who follow something through this replica, because it ends. */
  drain(): void {
    for (const call of [...this.#streams.keys()]) {
      this.#end(call);
      call.emit("error", ending("this control plane is ending; ask another, or again"));
    }
  }

  /** Ends the connections. */
  close(): void {
    for (const client of this.#clients.values()) client.close();
  }

  #passUnary(
    method: Method,
    call: ServerUnaryCall<unknown, unknown>,
    done: sendUnaryData<unknown>,
  ): void {
    const client = this.#client(call);
    if (!(client instanceof Client)) {
      done(client);
      return;
    }
    const asked = client.makeUnaryRequest(...passedOn(method, call), (error, answer) =>
      done(error, answer),
    );
    call.on("cancelled", () => asked.cancel());
  }

  /** Passes a watch on, to one leader after the other, until it ends or nobody has led for a while. */
  #passWatch(
    method: Method,
    own: () => Stream | undefined,
    call: ServerWritableStream<unknown, unknown>,
  ): void {
    const backOff = new BackOff(ASK_AGAIN_MS_FIRST, ASK_AGAIN_MS_LAST);
    let leaderlessAt: number | undefined;
    const ask = (): void => {
      const here = own();
      if (here !== undefined) here(call);
      else this.#passStream(method, call, { onMessage, onError });
    };
    const onMessage = (): void => {
      leaderlessAt = undefined;
      backOff.reset();
    };
    const onError: Passing["onError"] = (error) => {
      const now = performance.now();
      leaderlessAt ??= now;
      if (error.code !== status.UNAVAILABLE || now > leaderlessAt + LEADERLESS_MS_MAX) {
        call.emit("error", error);
        return;
      }
      const timer = setTimeout(() => this.#streams.delete(call) && ask(), backOff.next());
      this.#streams.set(call, () => clearTimeout(timer));
    };
    call.on("cancelled", () => this.#end(call));
    ask();
  }

  #passStream(
    method: Method,
    call: ServerWritableStream<unknown, unknown>,
    { onMessage, onError }: Passing = { onError: (error) => call.emit("error", error) },
  ): void {
    const client = this.#client(call);
    if (!(client instanceof Client)) {
      onError(client);
      return;
    }
    const asked = client.makeServerStreamRequest(...passedOn(method, call));
    let isOver = false;
    // One that has failed ends as well, when the call may be passed on to another leader already.
    const over = (): boolean => {
      const wasOver = isOver;
      isOver = true;
      return !wasOver && this.#streams.delete(call);
    };
    this.#streams.set(call, () => asked.cancel());
    const resume = (): void => void asked.resume();
    call.on("cancelled", () => asked.cancel());
    call.on("drain", resume);
    asked.on("data", (message: unknown) => {
      onMessage?.();
      if (!call.write(message)) asked.pause();
    });
    asked.on("end", () => over() && call.end());
    asked.on("error", (error: ServiceError) => {
      call.off("drain", resume);
      if (over()) onError(error);
    });
  }

  /** Ends what is passed on of a call; false: nothing is. */
  #end(call: Call): boolean {
    const end = this.#streams.get(call);
    this.#streams.delete(call);
    end?.();
    return end !== undefined;
  }

  /** A client of the leader, or why there is none. */
  #client(call: Call): Client | RpcError {
    const address = this.#leader();
    if (address === undefined || call.metadata.get(PASSED_ON).length > 0) {
      return unavailable("no control plane leads at this moment; try again");
    }
    const known = this.#clients.get(address);
    if (known !== undefined) return known;
    const client = new Client(address, credentials.createInsecure(), CHANNEL_OPTIONS);
    this.#clients.set(address, client);
    return client;
  }
}

/** The arguments of a call as it is passed on: marked, and with what is left of its time. */
function passedOn(method: Method, call: Call) {
  const { path, requestSerialize, responseDeserialize } = method;
  const metadata = call.metadata.clone();
  metadata.set(PASSED_ON, "1");
  const options = { deadline: call.getDeadline() };
  return [path, requestSerialize, responseDeserialize, call.request, metadata, options] as const;
}
