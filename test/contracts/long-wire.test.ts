// How much two peers have under way between them as the wire gets longer, through real sockets: counted at
// the wire, in bytes that were asked for and have not come.
import assert from "node:assert/strict";
import { test } from "node:test";
import { BLOCK_BYTES_MAX, OUTSTANDING_MAX } from "../../core/swarm/limits.ts";
import { BufferPool } from "../../runtime/peer/buffer-pool.ts";
import { FrameReader } from "../../runtime/peer/frame-reader.ts";
import { DelayingWire, type WireTap } from "../lab/delaying-wire.ts";
import { withFleet } from "./peer-fleet.ts";
import { TcpWay } from "./peer-way.ts";
import { samplePieces } from "./sample-pieces.ts";

const PIECE_BYTES = 1024 * 1024;
const sample = samplePieces(Array(32).fill(PIECE_BYTES));

/** Counts the bytes of blocks that were asked for and are not there. */
class RequestMeter implements WireTap {
  most = 0;
  #inFlight = 0;
  readonly #pool = new BufferPool();
  readonly #asked = new FrameReader(this.#pool, {
    frame: (frame) => {
      if (frame.kind === "request") this.#count(frame.bytes);
    },
    block: (_, buffer) => this.#pool.give(buffer),
  });
  readonly #answered = new FrameReader(this.#pool, {
    frame: () => {},
    block: (block, buffer) => {
      this.#count(-block.bytes);
      this.#pool.give(buffer);
      this.#answered.release();
    },
  });

  asked(bytes: Buffer): void {
    this.#asked.push(Buffer.from(bytes));
  }

  answered(bytes: Buffer): void {
    this.#answered.push(Buffer.from(bytes));
  }

  #count(bytes: number): void {
    this.#inFlight += bytes;
    this.most = Math.max(this.most, this.#inFlight);
  }
}

/** The most bytes that one peer had asked of another at one time, until it had all. */
async function fetchOver(delayMs: number): Promise<number> {
  const meter = new RequestMeter();
  await withFleet(sample, new TcpWay(), async (fleet) => {
    const seed = await fleet.start("agent-1", { seeds: true });
    const wire = await DelayingWire.listen(seed.introduction.address, delayMs, meter);
    try {
      const newcomer = await fleet.start("agent-2");
      newcomer.swarm.introduce([{ ...seed.introduction, address: wire.address }]);
      await fleet.whole(newcomer);
    } finally {
      await wire.close();
    }
  });
  return meter.most;
}

test("with a round trip of 200 ms more is under way than with one of 2 ms, and never without bound", {
  timeout: 120_000,
}, async () => {
  const short = await fetchOver(1);
  const long = await fetchOver(100);
  assert(short > 0 && long >= 2 * short, `${short} bytes were under way at most, then ${long}`);
  assert(long <= OUTSTANDING_MAX * BLOCK_BYTES_MAX, `${long} bytes were under way`);
});
