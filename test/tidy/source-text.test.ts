// The reader that the tidy rules rest on: what it takes for code, and which modules it sees.
import assert from "node:assert/strict";
import { test } from "node:test";
import { codeOnly, moduleReferences } from "./source-text.ts";

// biome-ignore-start lint/suspicious/noTemplateCurlyInString: they are the subject.
const CODE: readonly [source: string, code: string][] = [
  ["a // b\nc", "a     \nc"],
  ["a /* b\nb */ c", "a     \n     c"],
  ['a("b // c") + d', "a(        ) + d"],
  ["a('b\\'c') + d", "a(      ) + d"],
  ["a(`b ${c + `d ${e}`} f`) + g", "a(     c +      e      ) + g"],
  ["a(`${{ b: { c } }}`)", "a(   { b: { c } }  )"],
  ['a = /b"[/]c/.test(d)', "a =         .test(d)"],
  ["a = b / c / d", "a = b / c / d"],
];
// biome-ignore-end lint/suspicious/noTemplateCurlyInString: they are the subject.

test("comments and texts are told from code", () => {
  for (const [source, code] of CODE) assert.equal(codeOnly(source), code);
});

test("every way to name a module is seen, and none in a comment", () => {
  const source = `import a from "a";
import {
  b,
  type C,
} from "./b.ts";
import type { D } from "./d.ts";
import "./e.ts";
export { f } from "./f.ts";
// import g from "./g.ts";
const h = await import("./h.ts");
start(moduleUrl("./i.ts", import.meta.url));
`;
  const seen = moduleReferences(source).sort((one, other) => one.line - other.line);
  assert.deepEqual(
    seen.map(({ name, line, how }) => `${line} ${how} ${name}`),
    [
      "1 import a",
      "5 import ./b.ts",
      "6 import ./d.ts",
      "7 import ./e.ts",
      "8 import ./f.ts",
      "10 import ./h.ts",
      "11 start ./i.ts",
    ],
  );
});
