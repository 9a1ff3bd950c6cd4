// Holds docs/operations.md to the code: a section for each check of the doctor, and commands and flags that exist.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { CHECKS } from "../../core/diagnosis/finding.ts";
import { packageRoot } from "../../runtime/package-root.ts";
import { flagFaults } from "./command-flags.ts";
import { assertNone, SOURCES } from "./source-files.ts";

const PAGE = "docs/operations.md";
const text = readFileSync(new URL(PAGE, packageRoot()), "utf8");

test("each check of the doctor has a section of its name, and no section is of another", () => {
  const sections = [...text.matchAll(/^### ([a-z-]+)$/gm)].map((match) => match[1] as string);
  assert.deepEqual(sections.toSorted(), CHECKS.toSorted());
});

test("the page's commands have the flags that it gives them", () => {
  const blocks = [...text.matchAll(/^```sh\n(.*?)^```$/gms)].map((match) => match[1] as string);
  const lines = blocks.flatMap((block) => block.replaceAll("\\\n", " ").split("\n"));
  const commands = lines.flatMap((line) => /(?:^|npx |&& |; )(millrace .*)$/.exec(line)?.[1] ?? []);
  assert.ok(commands.length >= 10, `${commands.length} commands`);
  assertNone(
    commands.flatMap((line) => flagFaults(line.split(" #")[0] as string)),
    "as --help has it",
  );
});

test("each metric that a program has is on the page, and no other", () => {
  const named = SOURCES.filter(({ folder }) => folder !== "test").flatMap(({ text: source }) =>
    [...source.matchAll(/\b(?:gauge|counter|histogram|total)\(\s*"(millrace\.[^"]+)"/g)].map(
      (match) => match[1] as string,
    ),
  );
  assert.ok(named.length > 15, `${named.length} metrics`);
  const onPage = [...text.matchAll(/^\| `(millrace\.[a-z_.]+)`/gm)].map(
    (match) => match[1] as string,
  );
  assert.deepEqual(onPage.toSorted(), [...new Set(named)].toSorted());
});
