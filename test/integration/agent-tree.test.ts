// What hostile manifests make of an agent's disk: the reader and the writer that agents unpack with, on a
// real file system, between files that must not be touched.
import assert from "node:assert/strict";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, sep } from "node:path";
import { after, test } from "node:test";
import fc from "fast-check";
import { removeTree } from "../../agent/remove-tree.ts";
import { TreeWriter } from "../../agent/stage/tree-writer.ts";
import { compareUtf8 } from "../../core/release/path-rules.ts";
import { WireError } from "../../core/release/wire-error.ts";
import { ManifestSegment } from "../../proto/gen/millrace/v1/release_format.ts";
import { readManifest } from "../../runtime/release/manifest-reader.ts";
import { LINKS, PATHS, SEQUENCES } from "../core/release/path-corpus.ts";
import { describeTree } from "./tree-digest.ts";

/** An empty file, or a symlink. */
interface Entry {
  readonly path: string;
  readonly target?: string;
}

const folder = realpathSync(mkdtempSync(join(tmpdir(), "millrace-tree-")));
after(() => rmSync(folder, { recursive: true, force: true }));
const outside = join(folder, "outside");
for (const name of ["a", "b", "etc/passwd", "d/a"]) {
  mkdirSync(dirname(join(outside, name)), { recursive: true });
  writeFileSync(join(outside, name), "do not touch");
}
const before = describeTree(outside);

/** Unpacks below `outside`, where every "../" leads to something, and checks what came of it. */
async function unpack(entries: readonly Entry[]): Promise<unknown> {
  const manifest = join(folder, "manifest");
  writeFileSync(manifest, encoded(entries));
  const root = join(outside, "root");
  let fault: unknown;
  const writer = new TreeWriter(root);
  try {
    for await (const parts of readManifest(manifest)) {
      for (const { entry, first, last } of parts) {
        if (first) writer.begin(entry);
        if (last) writer.end();
      }
    }
  } catch (error) {
    fault = error;
  }
  writer.end();
  for (const path of allBelow(root)) assertInside(path, root);
  rmSync(root, { recursive: true });
  assert.deepEqual(describeTree(outside), before, JSON.stringify(entries).slice(0, 500));
  return fault;
}

test("threat 17: each case of the corpus is unpacked or refused by its verdict, and leads nowhere", async () => {
  const cases: { readonly entries: readonly Entry[]; readonly verdict: string }[] = [
    ...PATHS.map(([path, verdict]) => ({ entries: [{ path }], verdict })),
    ...LINKS.map(([path, target, verdict]) => ({ entries: [{ path, target }], verdict })),
    ...SEQUENCES.map(([paths, verdict]) => ({ entries: paths.map((path) => ({ path })), verdict })),
  ];
  assert.ok(cases.length >= 200, `${cases.length} cases`);
  let refused = 0;
  for (const { entries, verdict } of cases) {
    const shown = JSON.stringify(entries).slice(0, 200);
    // The longest of all have no room on Linux: PATH_MAX counts a NUL, and the folders above.
    const isLong = entries.some(({ path, target = "" }) => path.length + target.length > 2_000);
    if (verdict === "ok" && isLong) continue;
    const fault = await unpack(entries);
    // Protobuf has no text that is not Unicode: the writer of the wire has replaced it.
    if (entries.some(({ path, target = "" }) => !`${path}${target}`.isWellFormed())) continue;
    if (verdict === "ok") assert.equal(fault, undefined, shown);
    else assert.ok(fault instanceof WireError, `${shown} ${verdict}: ${fault}`);
    if (verdict !== "ok") refused += 1;
  }
  assert.ok(refused > 80, `${refused} refused`);
});

test("threat 17: whatever a manifest says, nothing of it lies outside or leads there, by realpath", async () => {
  const part = fc.constantFrom("a", "b", "c", "etc", "passwd", "..", ".", "");
  const path = fc.array(part, { minLength: 1, maxLength: 4 }).map((parts) => parts.join("/"));
  const target = fc.oneof(path, fc.constantFrom("/", "/etc/passwd", "../etc", "../../outside/a"));
  const entry = fc.record({ path, target }, { requiredKeys: ["path"] });
  let whole = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(entry, { minLength: 1, maxLength: 8 }), async (entries) => {
      const sorted = entries.toSorted((a, b) => compareUtf8(a.path, b.path));
      if ((await unpack(sorted)) === undefined) whole += 1;
      await unpack(entries);
    }),
    { numRuns: 300 },
  );
  // Of 300 about nine are good from end to end: none would mean that none ever is.
  assert.ok(whole > 0, `${whole} were unpacked whole`);
});

test("threat 17: a tree whose service put links out of it into it is deleted without them", async () => {
  const tree = join(folder, "tree");
  mkdirSync(join(tree, "deep/er"), { recursive: true });
  symlinkSync(outside, join(tree, "deep/er/link"));
  symlinkSync(join(outside, "a"), join(tree, "file"));
  symlinkSync("..", join(tree, "deep/up"));
  await removeTree(tree);
  assert.ok(!existsSync(tree));
  assert.deepEqual(describeTree(outside), before);
});

function allBelow(root: string): string[] {
  return readdirSync(root, { recursive: true, encoding: "utf8" }).map((name) => join(root, name));
}

function assertInside(path: string, root: string): void {
  const stat = lstatSync(path);
  assert.ok(stat.isFile() || stat.isDirectory() || stat.isSymbolicLink(), path);
  let real: string;
  try {
    real = realpathSync(path);
  } catch {
    return; // A link to nothing, or to itself, leads nowhere.
  }
  assert.ok(real === root || real.startsWith(root + sep), `${path} leads to ${real}`);
}

function encoded(entries: readonly Entry[]): Buffer {
  const segment = ManifestSegment.fromPartial({
    header: { format: 1, entries: entries.length, bytes: 0, chunks: 0 },
    entries: entries.map(({ path, target }) =>
      target === undefined
        ? { path, kind: 1 as const, mode: 0o644 }
        : { path, kind: 2 as const, mode: 0o777, target },
    ),
  });
  const message = ManifestSegment.encode(segment).finish();
  const head = Buffer.alloc(4);
  head.writeUInt32LE(message.length);
  return Buffer.concat([head, message]);
}
