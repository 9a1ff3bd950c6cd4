// The rules for paths against the corpus. What a file system makes of accepted ones is tested with the
// agent's own writer.
import assert from "node:assert/strict";
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
  it("threat 17: give each case of the corpus its verdict", () => {
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

  it("threat 17: refuse setuid, setgid and sticky bits", () => {
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
});
