// Outputs that cannot be a release: each refused with its fault and a sentence that names the path,
// and nothing of them sealed.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  mkdirSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { readSeal } from "../../../runtime/release/sealed-pack.ts";
import { chunkSpan } from "../../../worker/pack/chunk-span.ts";
import { makeDataPiece } from "../../../worker/pack/make-piece.ts";
import type { PackFault } from "../../../worker/pack/pack-error.ts";
import { PackError } from "../../../worker/pack/pack-error.ts";
import type { Span } from "../../../worker/pack/walk-tree.ts";
import { walkTree } from "../../../worker/pack/walk-tree.ts";
import { inWorkshop, noise, pack, writeTree } from "./packed-tree.ts";

const RELEASE_BYTES_MAX = 10_000_000_000;

/** What is done to an output with one good file; what it is refused with, and what is named. */
const REFUSED: readonly [string, PackFault, RegExp, (output: string) => void][] = [
  ["missing", "output-missing", /made no output .*output/, (output) => clear(output)],
  ["an empty directory", "output-empty", /empty directory/, (output) => unlinkSync(`${output}/a`)],
  [
    "a symlink itself",
    "output-kind",
    /is a symlink/,
    (output) => {
      clear(output);
      symlinkSync("/etc", output);
    },
  ],
  [
    "a pipe itself",
    "output-kind",
    /no file or directory/,
    (output) => {
      clear(output);
      execFileSync("mkfifo", [output]);
    },
  ],
  [
    "a pipe in it",
    "special-file",
    /"d\/pipe"/,
    (output) => {
      mkdirSync(`${output}/d`);
      execFileSync("mkfifo", [`${output}/d/pipe`]);
    },
  ],
  ["setuid", "bad-mode", /"a" has mode 0o4755/, (output) => chmodSync(`${output}/a`, 0o4755)],
  [
    "a link out of the tree",
    "bad-symlink",
    /"l" is a symlink to "\.\.\/x"/,
    (output) => symlinkSync("../x", `${output}/l`),
  ],
  [
    "an absolute link",
    "bad-symlink",
    /"\/etc\/passwd", which is absolute/,
    (output) => symlinkSync("/etc/passwd", `${output}/l`),
  ],
  [
    "a control character",
    "bad-path",
    /"a\\nb" holds a control/,
    (output) => writeFileSync(`${output}/a\nb`, ""),
  ],
  [
    "not in form C",
    "bad-path",
    /normal form C/,
    (output) => writeFileSync(`${output}/e\u0301`, ""),
  ],
  [
    "not UTF-8",
    "bad-path",
    /not UTF-8/,
    (output) => writeFileSync(Buffer.from(`${output}/\xff`, "latin1"), ""),
  ],
  [
    "over the limit",
    "release-too-large",
    /10000000000 bytes \(at "z"\)/,
    (output) => {
      writeFileSync(`${output}/z`, "");
      truncateSync(`${output}/z`, RELEASE_BYTES_MAX - 4);
    },
  ],
];

describe("threats 17 and 18: an output is refused that", () => {
  for (const [name, fault, message, spoil] of REFUSED) {
    it(`is or has ${name}`, () =>
      inWorkshop(async (workshop) => {
        writeTree(workshop.output, { a: { bytes: Buffer.from("12345") } });
        spoil(workshop.output);
        const error = await pack(workshop, 1).then(
          () => assert.fail("was packed"),
          (reason: unknown) => reason,
        );
        assert.ok(error instanceof PackError, String(error));
        assert.equal(error.fault, fault);
        assert.match(error.message, message);
        assert.equal(await readSeal(workshop.origin, "b-0123456789abcdef.1"), undefined);
      }));
  }

  it("has one byte more than the limit, and not one with as many", () =>
    inWorkshop(async ({ output, scratch }) => {
      writeTree(output, { a: { bytes: Buffer.from("12345") }, z: { bytes: Buffer.alloc(0) } });
      truncateSync(`${output}/z`, RELEASE_BYTES_MAX - 5);
      const { bytes, spans } = walkTree(output, join(scratch, "entries"));
      assert.equal(bytes, RELEASE_BYTES_MAX);
      assert.equal(
        spans.reduce((sum, span) => sum + span.bytes, 0),
        RELEASE_BYTES_MAX,
      );
      truncateSync(`${output}/z`, RELEASE_BYTES_MAX - 4);
      assert.throws(() => walkTree(output, join(scratch, "entries")), PackError);
    }));

  it("changes while it is packed", () =>
    inWorkshop(async ({ output, scratch }) => {
      const entryFile = join(scratch, "entries");
      const before = noise(1, 100_000);
      writeTree(output, { a: { bytes: before } });
      const { spans, root } = walkTree(output, entryFile);
      const span = spans[0] as Span;
      const { digests, sizes, places } = chunkSpan(span, root, entryFile);
      const runs = Float64Array.of(places[0] as number, 0, sizes.length);
      const memory = new ArrayBuffer(before.length);
      const piece = { root, entryFile, runs, digests, sizes, memory };
      assert.equal(makeDataPiece(piece, 1).row.plainBytes, before.length);
      const changed = (call: () => unknown) =>
        assert.throws(call, { name: "PackError", fault: "changed" });
      const other = Buffer.from(before);
      other[99_999] = (other[99_999] as number) ^ 1;
      writeFileSync(`${output}/a`, other);
      changed(() => makeDataPiece(piece, 1));
      truncateSync(`${output}/a`, 99_999);
      changed(() => chunkSpan(span, root, entryFile));
      unlinkSync(`${output}/a`);
      changed(() => chunkSpan(span, root, entryFile));
      symlinkSync("/etc/passwd", `${output}/a`);
      changed(() => chunkSpan(span, root, entryFile));
    }));
});

function clear(output: string): void {
  unlinkSync(`${output}/a`);
  execFileSync("rmdir", [output]);
}
