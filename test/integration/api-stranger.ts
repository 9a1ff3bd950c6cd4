// A gRPC client that knows nothing of Millrace but an address: what services, methods and messages there
// are it asks of the server by reflection, as grpcurl does.
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import {
  Client,
  type ClientDuplexStream,
  type ClientReadableStream,
  credentials,
  loadPackageDefinition,
  type Metadata,
  type ServiceError,
  status,
} from "@grpc/grpc-js";
import {
  loadFileDescriptorSetFromBuffer,
  loadSync,
  type MethodDefinition,
} from "@grpc/proto-loader";

/** A call that takes longer than this hangs. */
const CALL_MS_MAX = 60_000;

/** A message as a client sees it that has no generated types. */
export type Message = { readonly [field: string]: unknown };

type Method = MethodDefinition<Message, Message>;

/** How a call ended; `details` is the server's sentence, `answer` is empty unless OK. */
export interface CallEnd {
  readonly code: status;
  readonly details: string;
  readonly answer: Message;
}

/** A client of whatever the server offers. */
export class Stranger {
  /** Services as the server lists them. */
  readonly services: readonly string[];
  readonly #methods: ReadonlyMap<string, Method>;
  readonly #client: Client;

  private constructor(
    client: Client,
    services: readonly string[],
    methods: ReadonlyMap<string, Method>,
  ) {
    this.#client = client;
    this.services = services;
    this.#methods = methods;
  }

  /** Asks the server at `address` what it offers. */
  static async meet(address: string): Promise<Stranger> {
    const client = new Client(address, credentials.createInsecure());
    const services = await listServices(client);
    const methods = new Map<string, Method>();
    for (const service of services) {
      for (const method of await described(client, service)) {
        methods.set(method.path.slice(1), method);
      }
    }
    return new Stranger(client, services, methods);
  }

  /** Methods of the listed services by their names: "millrace.v1.BuildService/GetBuild". */
  get methods(): readonly (readonly [name: string, method: Method])[] {
    return [...this.#methods].filter(([name]) =>
      this.services.includes(name.split("/")[0] as string),
    );
  }

  /** Calls a unary method; resolves whatever its end. */
  call(name: string, request: Message, metadata?: Metadata): Promise<CallEnd> {
    return unaryCall(this.#client, this.#method(name), request, metadata);
  }

  /** Calls a server-streaming method; the caller reads or cancels it. */
  read(name: string, request: Message): ClientReadableStream<Message> {
    const { path, requestSerialize, responseDeserialize } = this.#method(name);
    return this.#client.makeServerStreamRequest(
      path,
      requestSerialize,
      responseDeserialize,
      request,
      { deadline: deadline() },
    );
  }

  /** Opens a bidirectional stream. */
  talk(name: string): ClientDuplexStream<Message, Message> {
    const { path, requestSerialize, responseDeserialize } = this.#method(name);
    const options = { deadline: deadline() };
    return this.#client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, options);
  }

  /** The same knowledge for a server that offers no reflection. */
  at(address: string): Stranger {
    const client = new Client(address, credentials.createInsecure());
    return new Stranger(client, this.services, this.#methods);
  }

  close(): void {
    this.#client.close();
  }

  #method(name: string): Method {
    const method = this.#methods.get(name);
    if (method === undefined) throw new Error(`the server offers no ${name}`);
    return method;
  }
}

/** Resolves when a stream has ended, with the status it ended with. */
export function endOf(
  stream: ClientReadableStream<Message> | ClientDuplexStream<Message, Message>,
): Promise<Omit<CallEnd, "answer">> {
  return new Promise((resolve) => {
    stream.on("error", () => {});
    stream.on("data", () => {});
    stream.on("status", ({ code, details }: { code: status; details: string }) =>
      resolve({ code, details }),
    );
  });
}

function unaryCall(
  client: Client,
  { path, requestSerialize, responseDeserialize }: Method,
  request: Message,
  metadata?: Metadata,
): Promise<CallEnd> {
  return new Promise((resolve) => {
    const onEnd = (error: ServiceError | null, answer?: Message): void =>
      error === null
        ? resolve({ code: status.OK, details: "", answer: answer ?? {} })
        : resolve({ code: error.code, details: error.details, answer: {} });
    const args = [path, requestSerialize, responseDeserialize, request] as const;
    const options = { deadline: deadline() };
    if (metadata === undefined) client.makeUnaryRequest(...args, options, onEnd);
    else client.makeUnaryRequest(...args, metadata, options, onEnd);
  });
}

function deadline(): number {
  return Date.now() + CALL_MS_MAX;
}

async function listServices(client: Client): Promise<string[]> {
  const answer = await reflect(client, { listServices: "*" });
  const { service } = answer["listServicesResponse"] as { service: { name: string }[] };
  return service.map(({ name }) => name);
}

/** All methods in the files that the server sends for a service. */
async function described(client: Client, service: string): Promise<Method[]> {
  const answer = await reflect(client, { fileContainingSymbol: service });
  const files = answer["fileDescriptorResponse"] as { fileDescriptorProto: Buffer[] } | null;
  if (files == null) throw new Error(`no descriptor of ${service}: ${JSON.stringify(answer)}`);
  // A FileDescriptorSet is nothing but its files, each as field 1.
  const set = Buffer.concat(
    files.fileDescriptorProto.flatMap((file) => [
      Buffer.from([0x0a, ...varint(file.length)]),
      file,
    ]),
  );
  const loaded = loadFileDescriptorSetFromBuffer(set, {
    longs: Number,
    enums: String,
    defaults: true,
    oneofs: true,
    keepCase: true,
  });
  return Object.values(loaded)
    .filter((definition) => !("format" in definition))
    .flatMap((definition) => Object.values(definition as unknown as Record<string, Method>));
}

function varint(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...varint(value >>> 7)];
}

/** One question of the reflection service, whose own description comes with its library. */
function reflect(client: Client, question: Message): Promise<Message> {
  const folder = dirname(createRequire(import.meta.url).resolve("@grpc/reflection/package.json"));
  const file = join(folder, "build/proto/grpc/reflection/v1/reflection.proto");
  const { service } = serviceOf(file, ["grpc", "reflection", "v1", "ServerReflection"]);
  const method = service["ServerReflectionInfo"] as Method;
  const { path, requestSerialize, responseDeserialize } = method;
  const options = { deadline: deadline() };
  const stream = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, options);
  return new Promise((resolve, reject) => {
    stream.once("data", (answer: Message) => resolve(answer));
    stream.once("error", reject);
    stream.write({ host: "", ...question });
    stream.end();
  });
}

function serviceOf(file: string, path: readonly string[]): { service: Record<string, unknown> } {
  let found: unknown = loadPackageDefinition(loadSync(file));
  for (const name of path) found = (found as Record<string, unknown>)[name];
  return found as { service: Record<string, unknown> };
}
