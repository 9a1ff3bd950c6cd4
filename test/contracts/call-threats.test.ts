// Calls among enemies: a relay that changes what is said, strangers at the ports of a call, a caller who
// stops half way, and a process of calls that dies.
import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import type { Socket } from "node:net";
import { after, test } from "node:test";
import type { CallEnd, PeerSignal } from "../../proto/gen/millrace/v1/fleet.ts";
import type { Introduction } from "../../runtime/peer/swarm.ts";
import { until } from "../lab/until.ts";
import { CallWay } from "./peer-way.ts";

const PACK = "b-0123456789abcdef.1";
const NEVER = new AbortController().signal;
const called: Introduction = { peerId: "called", address: "", role: "agent", isCallable: true };

/** Two ends of calls and the relay between them. */
class Pair {
  readonly way = new CallWay();
  readonly caller = this.way.listening("caller");
  readonly called = this.way.listening("called");
  /** Streams that the called side was given, with the caller's name. */
  readonly taken: { readonly socket: Socket; readonly caller: string }[] = [];

  constructor() {
    this.called.accept((socket, caller) => {
      socket.on("error", () => {});
      this.taken.push({ socket, caller });
    });
  }

  async dial(): Promise<Socket> {
    const socket = await this.caller.dial(PACK, called, NEVER);
    socket.on("error", () => {});
    return socket;
  }

  /** Whether bytes pass from the caller to the called. */
  async passes(): Promise<boolean> {
    const before = this.taken.length;
    const socket = await this.dial();
    socket.write("hello");
    await until("the call is taken", () => this.taken.length > before);
    const [bytes] = await once((this.taken.at(-1) as { socket: Socket }).socket, "data");
    socket.destroy();
    return String(bytes) === "hello";
  }

  close(): Promise<void> {
    return this.way.close();
  }
}

const pairs: Pair[] = [];
function pair(): Pair {
  const made = new Pair();
  pairs.push(made);
  return made;
}
after(() => Promise.all(pairs.map((one) => one.close())));

/** Changes the end in an offer or in an answer. */
function changeEnd(kind: "offer" | "answer", change: (end: CallEnd) => CallEnd) {
  return (signal: PeerSignal): PeerSignal => {
    if (signal.step?.$case !== kind) return signal;
    const step =
      signal.step.$case === "offer"
        ? { $case: "offer" as const, offer: change(signal.step.offer) }
        : { $case: "answer" as const, answer: change(signal.step.answer) };
    return { ...signal, step };
  };
}

const stranger = Buffer.alloc(32, 7);
const swapFingerprint = (end: CallEnd): CallEnd => ({ ...end, fingerprint: stranger });
const ifStep =
  (kind: string, change: Partial<PeerSignal>) =>
  (signal: PeerSignal): PeerSignal =>
    signal.step?.$case === kind ? { ...signal, ...change } : signal;

test("threat 23: whatever a relay changes, no call stands and nobody is given a stream", {
  timeout: 60_000,
}, async () => {
  const tampers: Record<string, CallWay["tamper"]> = {
    "fingerprint of the offer": changeEnd("offer", swapFingerprint),
    "fingerprint of the answer": changeEnd("answer", swapFingerprint),
    "password of the offer": changeEnd("offer", (end) => ({ ...end, password: "A".repeat(24) })),
    "nonce of the offer": ifStep("offer", { nonce: "0".repeat(32) }),
    "call of the answer": ifStep("answer", { call: "0".repeat(32) }),
    "who offers": ifStep("offer", { from: "somebody" }),
    "who answers": ifStep("answer", { from: "somebody" }),
    "the swarm": ifStep("offer", { pack: "b-none.1" }),
  };
  await Promise.all(
    Object.entries(tampers).map(async ([what, tamper]) => {
      const { way, caller, called: other, taken } = pair();
      way.tamper = tamper;
      await assert.rejects(caller.dial(PACK, called, NEVER), `changed: ${what}`);
      await until(`${what}: nothing is left of the call`, () => caller.calls + other.calls === 0);
      assert.equal(taken.length, 0, `changed: ${what}`);
    }),
  );
});

/** A DTLS 1.2 ClientHello as any client sends it. */
function clientHello(): Buffer {
  const extensions = Buffer.from("000a00040002001d000d0006000404030804", "hex");
  const body = Buffer.concat([
    Buffer.from("fefd", "hex"),
    Buffer.alloc(32, 9),
    Buffer.from("0000", "hex"),
    Buffer.from("0004c02bc02f0100", "hex"),
    Buffer.from([0, extensions.length]),
    extensions,
  ]);
  const head = Buffer.alloc(12);
  head[0] = 1;
  head.writeUIntBE(body.length, 1, 3);
  head.writeUIntBE(body.length, 9, 3);
  const record = Buffer.alloc(13);
  record[0] = 22;
  record.writeUInt16BE(0xfefd, 1);
  record.writeUInt16BE(head.length + body.length, 11);
  return Buffer.concat([record, head, body]);
}

/** A STUN binding request of somebody who does not know the call's names and passwords. */
function strangeBinding(): Buffer {
  const request = Buffer.alloc(20, 5);
  request.writeUInt32BE(0x0001_0000, 0);
  request.writeUInt32BE(0x2112_a442, 4);
  return request;
}

test("threats 10 and 24: strangers at the ports of a call get no DTLS, and no more than they sent", async () => {
  const one = pair();
  const strangers = createSocket("udp4");
  const answers: Buffer[] = [];
  strangers.on("message", (bytes) => answers.push(bytes));
  let sentBytes = 0;
  const attacked = new Set<number>();
  one.way.tamper = (signal) => {
    const end = signal.step?.$case === "offer" ? signal.step.offer : undefined;
    for (const { host, port } of end?.addresses ?? []) {
      if (host !== "127.0.0.1") continue;
      attacked.add(port);
      for (const bytes of [clientHello(), strangeBinding(), Buffer.alloc(100, 0x16)]) {
        sentBytes += bytes.length;
        strangers.send(bytes, port, host);
      }
    }
    return signal;
  };
  // The call begins while they are at it, and stands all the same.
  for (let call = 0; call < 3; call += 1) assert(await one.passes());
  assert.equal(attacked.size, 3, "each call has a port of its own");
  assert.deepEqual(
    answers.filter(([type]) => type !== undefined && type >= 20 && type <= 63),
    [],
    "DTLS was answered",
  );
  const answered = answers.reduce((sum, bytes) => sum + bytes.length, 0);
  assert(answered <= sentBytes, `${answered} bytes for ${sentBytes}`);
  strangers.close();
});

test("threat 11: a caller who stops half way is forgotten", { timeout: 60_000 }, async () => {
  const one = pair();
  one.way.tamper = (signal) => (signal.step?.$case === "ask" ? signal : undefined);
  const dials = [one.dial(), one.dial(), one.dial()];
  await until("the calls are begun", () => one.called.calls === 3);
  await Promise.all(dials.map((dial) => assert.rejects(dial, /in time/)));
  await until("the calls are over", () => one.called.calls === 0);
  one.way.tamper = (signal) => signal;
  assert(await one.passes());
});

test("a process of calls that dies costs the calls, and the next call starts another", async () => {
  const one = pair();
  const socket = await one.dial();
  await until("the call is taken", () => one.taken.length === 1);
  const { pid } = one.caller;
  process.kill(pid as number, "SIGKILL");
  await once(socket, "close");
  assert(await one.passes());
  assert.notEqual(one.caller.pid, pid);
});

test("a refusal is told at once", async () => {
  const one = pair();
  one.way.tamper = (signal) =>
    signal.step?.$case === "ask" && signal.to === "called"
      ? { ...signal, from: "called", to: "caller", step: { $case: "refusal", refusal: "not now" } }
      : signal;
  await assert.rejects(one.dial(), /refused: not now/);
});
