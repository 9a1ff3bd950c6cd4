// Calls among enemies: a relay that changes, forges or repeats what is said, one that stands between two
// peers, strangers at the ports of a call, a caller who stops half way, and a process of calls that dies.
import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import type { Socket } from "node:net";
import { after, test } from "node:test";
import type { CallEnd, PeerSignal } from "../../proto/gen/millrace/v1/fleet.ts";
import { newIdentity } from "../../runtime/peer/peer-identity.ts";
import type { Introduction } from "../../runtime/peer/swarm.ts";
import { CallHost, type HostedCall } from "../../runtime/webrtc/call-host.ts";
import { prove } from "../../runtime/webrtc/call-proof.ts";
import { type CallStep, readSignal, writeSignal } from "../../runtime/webrtc/signal.ts";
import { until } from "../lab/until.ts";
import { CallWay } from "./peer-way.ts";

const PACK = "b-0123456789abcdef.1";
const NEVER = new AbortController().signal;

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
    const { peerId } = this.called;
    const other: Introduction = { peerId, address: "", role: "agent", isCallable: true };
    const socket = await this.caller.dial(PACK, other, NEVER);
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

const stranger = newIdentity("stranger");
const swapFingerprint = (end: CallEnd): CallEnd => ({ ...end, fingerprint: Buffer.alloc(32, 7) });
const ifStep =
  (kind: string, change: Partial<PeerSignal>) =>
  (signal: PeerSignal): PeerSignal =>
    signal.step?.$case === kind ? { ...signal, ...change } : signal;
/** What the stranger makes of a step, signed with its own key. */
const forged = (signal: PeerSignal): PeerSignal =>
  writeSignal(prove(readSignal(signal), stranger.key));

/** A change that a relay makes, and what the caller's error says of it. */
type Tampering = readonly [tamper: CallWay["tamper"], said: RegExp];

const nothing = Buffer.alloc(0);
const changed = (kind: string): RegExp => new RegExp(`the ${kind} of .* is not what it signed`);
const foreign = (kind: string): RegExp => new RegExp(`the ${kind} of .* a key that is not of that`);
const unsigned = (kind: string): RegExp => new RegExp(`the ${kind} of .* is not signed: a relay`);

const tamperings: Record<string, Tampering> = {
  "fingerprint of the offer": [changeEnd("offer", swapFingerprint), changed("offer")],
  "fingerprint of the answer": [changeEnd("answer", swapFingerprint), changed("answer")],
  "fingerprints of both": [
    (signal) => changeEnd("answer", swapFingerprint)(changeEnd("offer", swapFingerprint)(signal)),
    changed("offer"),
  ],
  "password of the offer": [
    changeEnd("offer", (end) => ({ ...end, password: "A".repeat(24) })),
    changed("offer"),
  ],
  "addresses of the answer": [
    changeEnd("answer", (end) => ({ ...end, addresses: end.addresses.slice(1) })),
    changed("answer"),
  ],
  "nonce of the offer": [ifStep("offer", { nonce: "0".repeat(32) }), changed("offer")],
  "nonce of the answer": [ifStep("answer", { nonce: "0".repeat(32) }), changed("answer")],
  "key of the ask": [ifStep("ask", { key: stranger.key.publicKey }), foreign("ask")],
  "key of the offer": [ifStep("offer", { key: stranger.key.publicKey }), foreign("offer")],
  "key of the answer": [ifStep("answer", { key: stranger.key.publicKey }), foreign("answer")],
  "fingerprint of the offer, signed anew": [
    (signal) =>
      signal.step?.$case === "offer" ? forged(changeEnd("offer", swapFingerprint)(signal)) : signal,
    foreign("offer"),
  ],
  "all steps, signed anew": [forged, foreign("ask")],
  "the offer's signature, taken away": [ifStep("offer", { signature: nothing }), unsigned("offer")],
  "the answer's signature, taken away": [
    ifStep("answer", { signature: nothing }),
    unsigned("answer"),
  ],
  "proofs of all steps, taken away": [
    (signal) => ({ ...signal, key: nothing, signature: nothing }),
    unsigned("ask"),
  ],
};

test("threat 23: what a relay changes is found out before a call stands, and it is said what and why", async () => {
  const one = pair();
  const { way, caller, called, taken } = one;
  for (const [what, [tamper, said]] of Object.entries(tamperings)) {
    way.tamper = tamper;
    way.warnings.length = 0;
    await assert.rejects(one.dial(), said, `changed: ${what}`);
    await until(`${what}: nothing is left of the call`, () => caller.calls + called.calls === 0);
    assert.equal(taken.length, 0, `changed: ${what}`);
    // Who finds it out warns of it; the other side knows it from a refusal.
    const found = way.warnings.filter((fields) => said.test((fields as Warning).reason));
    assert.equal(found.length, 1, `changed: ${what}`);
  }
  way.tamper = (signal) => signal;
  assert(await one.passes(), "an honest relay is of no use any more");
});

test("threat 23: what is of no call under way is passed over", { timeout: 60_000 }, async () => {
  const strays: Record<string, CallWay["tamper"]> = {
    "call of the answer": ifStep("answer", { call: "0".repeat(32) }),
    "who offers": ifStep("offer", { from: "somebody" }),
    "who answers": ifStep("answer", { from: "somebody" }),
    "who offers, to one who proves it": (signal) =>
      signal.step?.$case === "offer" ? forged({ ...signal, from: stranger.id }) : signal,
    "the swarm": ifStep("offer", { pack: "b-none.1" }),
  };
  await Promise.all(
    Object.entries(strays).map(async ([what, tamper]) => {
      const one = pair();
      const { way, caller, called, taken } = one;
      way.tamper = tamper;
      await assert.rejects(one.dial(), /not set up in time/, `changed: ${what}`);
      await until(`${what}: nothing is left of the call`, () => caller.calls + called.calls === 0);
      assert.equal(taken.length, 0, `changed: ${what}`);
    }),
  );
});

interface Warning {
  readonly reason: string;
}

test("threat 23: steps of an earlier call are of no use in a later one", async () => {
  const one = pair();
  const { way, caller, called, taken } = one;
  const earlier: PeerSignal[] = [];
  way.tamper = (signal) => {
    earlier.push(signal);
    return signal;
  };
  assert(await one.passes());
  const [ask, offer, answer] = earlier as [PeerSignal, PeerSignal, PeerSignal];

  way.tamper = (signal) =>
    signal.step?.$case === "offer" ? { ...offer, call: signal.call } : signal;
  await assert.rejects(one.dial(), changed("offer"));
  way.tamper = (signal) =>
    signal.step?.$case === "answer" ? { ...answer, call: signal.call } : signal;
  await assert.rejects(one.dial(), changed("answer"));

  // The old ask is as good as new: a call is offered, but the old answer does not fit it.
  way.warnings.length = 0;
  way.tamper = (signal) => (signal.step?.$case === "offer" ? answer : undefined);
  way.deliver(ask);
  await until("the old answer is refused", () => way.warnings.length === 1);
  assert.match((way.warnings[0] as Warning).reason, /^caller-.* answers another offer$/);
  await until("nothing is left of the calls", () => caller.calls + called.calls === 0);
  assert.equal(taken.length, 1, "the first call is the only one");
});

/** A relay that has ends of calls itself: it answers the called in the caller's name, and offers to the caller. */
class RelayBetween {
  readonly host = new CallHost([]);
  readonly #way: CallWay;
  /** What it makes of a step of its own before it says it. */
  readonly #dress: (signal: PeerSignal, as: PeerSignal) => PeerSignal;
  #toCaller: HostedCall | undefined;
  #nonce = "";
  /** It has both streams. */
  stands = false;

  constructor(way: CallWay, dress: (signal: PeerSignal, as: PeerSignal) => PeerSignal) {
    this.#way = way;
    this.#dress = dress;
    way.tamper = (signal) => {
      if (signal.step?.$case !== "offer" && signal.step?.$case !== "answer") return signal;
      // Where the peers refuse, it is left with calls that come to nothing.
      this.#pass(signal).catch(() => {});
      return undefined;
    };
  }

  async #pass(message: PeerSignal): Promise<void> {
    const { step, call, from, to, ...rest } = readSignal(message);
    const say = (own: CallStep, way: { from: string; to: string }): void => {
      this.#way.deliver(this.#dress(writeSignal({ ...rest, ...way, call, step: own }), message));
    };
    if (step.kind === "offer") {
      this.#nonce = step.nonce;
      this.#toCaller = this.host.begin(NEVER);
      const end = await this.#toCaller.offer();
      say({ kind: "offer", end, nonce: step.nonce }, { from, to });
      const toCalled = this.host.begin(NEVER);
      const answer = await toCalled.answer(step.end, `${call} ${step.nonce}`);
      say({ kind: "answer", end: answer, nonce: step.nonce }, { from: to, to: from });
      await Promise.all([toCalled.socket, this.#toCaller.socket]);
      this.stands = true;
    } else if (step.kind === "answer") this.#toCaller?.connect(step.end, `${call} ${this.#nonce}`);
  }
}

test("threat 23: a relay with ends of its own does not get between two peers", async () => {
  const dresses: Record<string, [(signal: PeerSignal, as: PeerSignal) => PeerSignal, RegExp]> = {
    "with the proofs that it was given": [(signal) => signal, changed("offer")],
    "with a key of its own": [forged, foreign("offer")],
    "with the peer's key and a signature of its own": [
      (signal, as) => ({ ...forged(signal), key: as.key }),
      changed("offer"),
    ],
  };
  const one = pair();
  for (const [what, [dress, said]] of Object.entries(dresses)) {
    const between = new RelayBetween(one.way, dress);
    await assert.rejects(one.dial(), said, what);
    await until(`${what}: nothing is left`, () => one.caller.calls + one.called.calls === 0);
    assert.deepEqual([between.stands, one.taken.length], [false, 0], what);
    await between.host.close();
  }
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
    signal.step?.$case === "ask" && signal.to === one.called.peerId
      ? {
          ...signal,
          from: signal.to,
          to: signal.from,
          step: { $case: "refusal", refusal: "not now" },
        }
      : signal;
  await assert.rejects(one.dial(), /refused: not now/);
});
