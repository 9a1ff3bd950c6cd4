// How fast an output is packed, on two threads: one that did not change since an earlier release, and
// a new one. MB are 1e6 plain bytes. Each figure is the median of three after one warm-up; the origin
// is a file: store beside the tree.
//
// The tree: 2 GiB in about 10,000 files, by bytes a third each of 4-64 KiB, 0.25-8 MiB and 128 MiB.
// Every second file is random bytes (as images and archives are); the others are stitched of 8 KiB
// parts of what npm installed here (JavaScript, declarations, native code). zstd halves it, about.
import { closeSync, globSync, mkdirSync, openSync, readSync, statSync, writeSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Release } from "../proto/gen/millrace/v1/release_format.ts";
import { Release as ReleaseMessage } from "../proto/gen/millrace/v1/release_format.ts";
import { openFileBlobs } from "../runtime/blobs/file-blobs.ts";
import type { BaseRelease } from "../worker/pack/base-release.ts";
import { loadBase } from "../worker/pack/base-release.ts";
import type { PackResult } from "../worker/pack/pack-output.ts";
import { packOutput } from "../worker/pack/pack-output.ts";

const MIB = 1024 * 1024;
const TREE_BYTES = 2048 * MIB;
const THREADS = 2;
const RUNS = 3;
/** Bytes of installed files to stitch from. */
const REAL_BYTES_MAX = 192 * MIB;
const STITCH_BYTES = 8 * 1024;

const folder = await mkdtemp(join(tmpdir(), "millrace-bench-pack-"));
try {
  const seconds = { unchanged: [] as number[], new: [] as number[] };
  makeTree(join(folder, "tree"));
  let packed = 0;
  for (let run = 0; run <= RUNS; run += 1) {
    const first = await timedPack(`new-${run}`, []);
    const record = ReleaseMessage.fromPartial(first.result.release) as Release;
    const base = await loadBase(first.origin, record, join(folder, "scratch"));
    const second = await timedPack(`same-${run}`, [base]);
    await Promise.all([first.origin.close(), second.origin.close()]);
    await rm(join(folder, "origin"), { recursive: true });
    packed = first.result.release.packedBytes / first.result.release.bytes;
    console.error(
      `run ${run}: new ${first.seconds.toFixed(2)} s (packed to ${packed.toFixed(2)}), ` +
        `unchanged ${second.seconds.toFixed(2)} s${run === 0 ? " (warm-up)" : ""}`,
    );
    if (run === 0) continue;
    seconds.new.push(first.seconds);
    seconds.unchanged.push(second.seconds);
  }
  const figures = {
    unchanged_mb_per_s: mbPerS(seconds.unchanged),
    new_mb_per_s: mbPerS(seconds.new),
    packed_share: Number(packed.toFixed(3)),
    peak_rss_mb: Math.round(process.resourceUsage().maxRSS / 1000),
  };
  console.log(JSON.stringify({ bench: "pack", figures }));
} finally {
  await rm(folder, { recursive: true, force: true });
}

async function timedPack(pack: string, base: readonly BaseRelease[]) {
  const origin = await openFileBlobs(join(folder, "origin"));
  const scratch = join(folder, "scratch");
  mkdirSync(scratch, { recursive: true });
  const output = join(folder, "tree");
  const signal = new AbortController().signal;
  const options = { output, pack, origin, base, scratch, threads: THREADS, signal };
  const begun = performance.now();
  const result: PackResult = await packOutput({ ...options, onSegment: () => {} });
  return { origin, result, seconds: (performance.now() - begun) / 1000 };
}

function mbPerS(seconds: readonly number[]): number {
  const median = seconds.toSorted((a, b) => a - b)[Math.floor(seconds.length / 2)] as number;
  return Math.round(TREE_BYTES / 1e6 / median);
}

function makeTree(root: string): void {
  const real = realBytes();
  const random = xorshift(1);
  const sizes = [
    () => 4 * 1024 + (random() % (60 * 1024)),
    () => MIB / 4 + (random() % (8 * MIB - MIB / 4)),
    () => 128 * MIB,
  ];
  let file = 0;
  for (const size of sizes) {
    for (let left = Math.ceil(TREE_BYTES / sizes.length); left > 0; file += 1) {
      const bytes = Math.min(left, size());
      const directory = join(root, `d${file % 97}`);
      mkdirSync(directory, { recursive: true });
      writeContent(join(directory, `f${file}`), bytes, file % 2 === 0 ? undefined : real, random);
      left -= bytes;
    }
  }
}

function writeContent(
  path: string,
  bytes: number,
  real: Buffer | undefined,
  random: () => number,
): void {
  const file = openSync(path, "wx");
  const buffer = Buffer.allocUnsafe(Math.min(bytes, MIB));
  for (let written = 0; written < bytes; ) {
    const part = buffer.subarray(0, Math.min(buffer.length, bytes - written));
    if (real === undefined) {
      for (let i = 0; i + 4 <= part.length; i += 4) part.writeUInt32LE(random(), i);
    } else {
      for (let i = 0; i < part.length; i += STITCH_BYTES) {
        const from = random() % (real.length - STITCH_BYTES);
        real.copy(part, i, from, from + STITCH_BYTES);
      }
    }
    written += writeSync(file, part);
  }
  closeSync(file);
}

/** Some of the bytes of the installed packages. */
function realBytes(): Buffer {
  const modules = fileURLToPath(new URL("../node_modules", import.meta.url));
  const bytes = Buffer.allocUnsafe(REAL_BYTES_MAX);
  let filled = 0;
  for (const name of globSync("**/*.{js,ts,node,map}", { cwd: modules }).sort()) {
    const path = join(modules, name);
    if (!statSync(path).isFile()) continue;
    const file = openSync(path, "r");
    filled += readSync(file, bytes, filled, Math.min(bytes.length - filled, 16 * MIB), 0);
    closeSync(file);
  }
  return bytes.subarray(0, filled);
}

function xorshift(seed: number): () => number {
  let state = seed;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}
