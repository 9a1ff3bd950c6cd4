// Services that only the leader can answer, at any replica: it answers itself while it leads, and passes the
// call on to the leader where another does. A call is passed on once; with no leader it is UNAVAILABLE.
import {
  Client,
  credentials,
  type MethodDefinition,
  type ServerUnaryCall,
  type ServerWritableStream,
  type ServiceDefinition,
  type sendUnaryData,
  type UntypedServiceImplementation,
} from "@grpc/grpc-js";
import { CHANNEL_OPTIONS } from "../../runtime/grpc/limits.ts";
import { ending, type RpcError, unavailable } from "../../runtime/grpc/rpc-error.ts";

/** Marks a call that a replica passed on. */
const PASSED_ON = "millrace-passed-on";

type Method = MethodDefinition<unknown, unknown>;
type Call = ServerUnaryCall<unknown, unknown> | ServerWritableStream<unknown, unknown>;
type Unary = (call: ServerUnaryCall<unknown, unknown>, done: sendUnaryData<unknown>) => void;
type Stream = (call: ServerWritableStream<unknown, unknown>) => void;

/** Makes implementations that answer here or at the leader. */
export class ToLeader {
  readonly #leader: () => string | undefined;
  readonly #clients = new Map<string, Client>();
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
      const stream: Stream = (call) => {
        const own = local()?.[name] as Stream | undefined;
        if (own !== undefined) own(call);
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
    for (const [call, end] of this.#streams) {
      end();
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

  #passStream(method: Method, call: ServerWritableStream<unknown, unknown>): void {
    const client = this.#client(call);
    if (!(client instanceof Client)) {
      call.emit("error", client);
      return;
    }
    const asked = client.makeServerStreamRequest(...passedOn(method, call));
    const over = (): boolean => this.#streams.delete(call);
    this.#streams.set(call, () => {
      over();
      asked.cancel();
    });
    call.on("cancelled", () => asked.cancel());
    call.on("drain", () => asked.resume());
    asked.on("data", (message: unknown) => {
      if (!call.write(message)) asked.pause();
    });
    asked.on("end", () => over() && call.end());
    asked.on("error", (error) => over() && call.emit("error", error));
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
