// RelayService: one stream per relay. It checks the hello, then hands what comes to the hub.
import type { ServerDuplexStream } from "@grpc/grpc-js";
import { RELAY_BACKOFF } from "../../core/fleet/agent-backoff.ts";
import { isBehind } from "../../core/leadership/epoch.ts";
import type {
  ConnectRelayRequest,
  ConnectRelayResponse,
  RelayHello,
  RelayServiceServer,
} from "../../proto/gen/millrace/v1/fleet.ts";
import {
  asServiceError,
  failedPrecondition,
  invalid,
  type RpcError,
  unavailable,
} from "../../runtime/grpc/rpc-error.ts";
import { AddressError, parseAddress } from "../../runtime/listen-address.ts";
import type { Log } from "../../runtime/log.ts";
import type { AgentDirectory } from "./agent-directory.ts";
import { Outbox } from "./outbox.ts";
import type { RelayHub, RelayLine, RelaySession } from "./relay-hub.ts";
import type { UsesDirectory } from "./releases-in-use.ts";

/** A stream whose first message does not come in this time is ended. */
const HELLO_MS_MAX = 10_000;
/** Ids and names of relays and regions. */
const NAME = /^[a-zA-Z0-9][a-zA-Z0-9._-]{0,63}$/;
/** A DNS name has 253 characters at most; then a colon and a port. */
const ADDRESS_MAX = 260;
/** Rollouts wait for agents of a relay that was started again; six times as long as agents need. */
const SETTLE_MS_MAX = 6 * RELAY_BACKOFF.mostMs;

type Stream = ServerDuplexStream<ConnectRelayRequest, ConnectRelayResponse>;

export interface RelayServiceOptions {
  readonly hub: RelayHub;
  readonly directory: AgentDirectory;
  readonly uses: UsesDirectory;
  readonly log: Log;
  /** False until everything that relays must be told has been read. */
  readonly isReady: () => boolean;
  /** The store that a relay has followed, where it is not this one. */
  readonly foreignStore: (said: string) => string | undefined;
  /** A relay has seen what this leader's store does not know. */
  readonly onBehind: (hello: RelayHello) => void;
}

export function createRelayService(options: RelayServiceOptions): RelayServiceServer {
  return { connectRelay: (stream) => serve(stream, options) };
}

function serve(stream: Stream, options: RelayServiceOptions): void {
  const { hub, directory, uses, log } = options;
  let session: RelaySession | undefined;
  let isGreeted = false;
  let isOver = false;
  const fail = (error: unknown): void => {
    if (isOver) return;
    isOver = true;
    stream.emit("error", asServiceError(error, log));
    over();
  };
  const over = (): void => {
    isOver = true;
    clearTimeout(timer);
    if (session !== undefined) {
      directory.left(session.relay);
      uses.left(session.relay);
    }
    hub.leave(session);
  };
  const line: RelayLine = {
    outbox: new Outbox((command) => isOver || stream.write({ command })),
    end: (why) => fail(unavailable(why)),
  };
  const timer = setTimeout(() => fail(invalid("hello: none came in time")), HELLO_MS_MAX);

  stream.on("drain", () => line.outbox.drained());
  stream.on("cancelled", over);
  stream.on("error", over);
  stream.on("end", () => {
    if (!isOver) stream.end();
    over();
  });
  stream.on("data", ({ message }: ConnectRelayRequest) => {
    if (isOver || message === undefined) return;
    if (message.$case === "hello") {
      clearTimeout(timer);
      const refused = isGreeted ? invalid("hello: said twice") : refusal(message.hello, options);
      isGreeted = true;
      if (refused !== undefined) return fail(refused);
      hub.join(message.hello, line).then((joined) => {
        session = joined;
        if (isOver) hub.leave(joined);
      }, fail);
      return;
    }
    if (session === undefined) {
      if (!isGreeted) fail(invalid(`first message is "${message.$case}", expected hello`));
      return;
    }
    if (message.$case === "report") hub.reported(session, message.report);
    else if (message.$case === "census") hub.censusAnswered(session, message.census);
    else if (message.$case === "uses") uses.answered(session.relay, message.uses);
    else if (message.$case === "agents") directory.answered(session.relay, message.agents);
    // A memory is asked for in a term of its own (leadership/held-term.ts).
  });
}

/** Why a relay is not taken; undefined: it is. */
function refusal(hello: RelayHello, options: RelayServiceOptions): RpcError | undefined {
  const wrong = helloFault(hello);
  if (wrong !== undefined) return invalid(wrong);
  const { hub, log } = options;
  const other = options.foreignStore(hello.store);
  if (other !== undefined) {
    log.error({ relay: hello.relay, store: other }, "a relay of another store is not taken");
    return failedPrecondition(
      `relay ${hello.relay} has followed the store ${other}, and this is another one: point the relay back, or ` +
        "start it with an empty --root; where this store takes the other's place: millrace leader --restored",
    );
  }
  if (isBehind(hub.term, hello, hub.hasMet(hello.relay))) {
    options.onBehind(hello);
    return failedPrecondition(
      `this leader has epoch ${hub.epoch}, the relay has seen ${hello.epoch}: its store is not the newest`,
    );
  }
  if (!options.isReady()) return unavailable("the control plane is starting");
  return undefined;
}

/** What is wrong with a hello; undefined: nothing. */
export function helloFault(hello: RelayHello): string | undefined {
  for (const field of ["relay", "region", "boot"] as const) {
    if (!NAME.test(hello[field])) {
      return `hello.${field} "${hello[field]}": expected 1 to 64 of a-z A-Z 0-9 . _ -`;
    }
  }
  for (const field of ["address", "swarmAddress"] as const) {
    if (!isAddress(hello[field])) {
      return `hello.${field} "${hello[field]}": expected host:port`;
    }
  }
  if (hello.settleMs > SETTLE_MS_MAX) {
    return `hello.settle_ms ${hello.settleMs}: expected at most ${SETTLE_MS_MAX}`;
  }
  return undefined;
}

function isAddress(text: string): boolean {
  try {
    parseAddress(text);
    return text.length <= ADDRESS_MAX;
  } catch (error) {
    if (error instanceof AddressError) return false;
    throw error;
  }
}
