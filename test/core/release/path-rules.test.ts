// The rules for paths against the corpus, and against what a file system makes of accepted ones.
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { describe, it } from "node:test";
import fc from "fast-check";
import {
  compareUtf8,
  modeFault,
  PathOrder,
  pathFault,
  targetFault,
} from "../../../core/release/path-rules.ts";
import { LINKS, PATHS, SEQUENCES } from "./path-corpus.ts";

describe("path rules", () => {
  it("give each case of the corpus its verdict", () => {
    assert.ok(PATHS.length + LINKS.length + SEQUENCES.length >= 200);
    for (const [path, verdict] of PATHS) {
      assert.equal(pathFault(path)?.rule ?? "ok", verdict, JSON.stringify(path.slice(0, 60)));
    }
    for (const [path, target, verdict] of LINKS) {
      const found = targetFault(path, target)?.rule ?? "ok";
      assert.equal(found, verdict, `${path} -> ${JSON.stringify(target.slice(0, 60))}`);
    }
    for (const [paths, verdict] of SEQUENCES) {
      const order = new PathOrder();
      const verdicts = paths.map((path) => order.next(path)?.rule ?? "ok");
      assert.deepEqual(verdicts, [...paths.slice(1).map(() => "ok"), verdict], paths.join(" "));
    }
  });

  it("refuse setuid, setgid and sticky bits", () => {
    for (const mode of [0, 0o644, 0o755, 0o777]) assert.equal(modeFault("a", mode), undefined);
    for (const mode of [0o4755, 0o2755, 0o1777, 0o10000, -1]) {
      assert.equal(modeFault("a", mode)?.rule, "bad-mode", String(mode));
    }
  });

  it("order paths as their UTF-8 bytes do", () => {
    const text = fc.string({ unit: "binary", maxLength: 6 });
    fc.assert(
      fc.property(text, text, (a, b) => {
        const bytes = Buffer.compare(Buffer.from(a), Buffer.from(b));
        assert.equal(Math.sign(compareUtf8(a, b)), bytes);
      }),
    );
  });

  it("let nothing out of the tree, whatever was accepted before", () => {
    const part = fc.constantFrom("a", "b", "c", "..", ".", "");
    const path = fc.array(part, { minLength: 1, maxLength: 4 }).map((parts) => parts.join("/"));
    const entry = fc.record({ path, target: fc.option(path) });
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 8 }), (entries) => {
        const outside = mkdtempSync(join(tmpdir(), "millrace-paths-"));
        const root = join(outside, "root");
        try {
          mkdirSync(root);
          unpack(entries, root);
          for (const { path } of entries) assertInside(join(root, path), root, path);
        } finally {
          rmSync(outside, { recursive: true });
        }
      }),
      { numRuns: 200 },
    );
  });
});

/** Unpacks, as an agent would, the entries that the rules accept. */
function unpack(entries: readonly { path: string; target: string | null }[], root: string): void {
  const order = new PathOrder();
  for (const { path, target } of entries.toSorted((a, b) => compareUtf8(a.path, b.path))) {
    if (pathFault(path) !== undefined) continue;
    if (target !== null && targetFault(path, target) !== undefined) continue;
    if (order.next(path) !== undefined) continue;
    const at = join(root, path);
    mkdirSync(dirname(at), { recursive: true });
    assertInside(dirname(at), root, path);
    if (target === null) writeFileSync(at, path, { flag: "wx" });
    else symlinkSync(target, at);
  }
}

function assertInside(at: string, root: string, path: string): void {
  if (pathFault(path) !== undefined) return;
  let real: string;
  try {
    real = realpathSync(at);
  } catch {
    return; // Dangling or circular: leads nowhere.
  }
  const base = realpathSync(root);
  assert.ok(real === base || real.startsWith(`${base}/`), `${path} leads to ${real}`);
}
