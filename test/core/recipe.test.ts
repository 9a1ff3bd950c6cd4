// What a millrace.yaml may hold, and where its faults are said to be.
import assert from "node:assert/strict";
import { resolve } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { parseRecipe } from "../../runtime/recipe/parse-recipe.ts";
import { RecipeError } from "../../runtime/recipe/parse-yaml.ts";

const GOOD = `service: hello
build: { run: "npm ci && npm run build", output: dist, timeout: 15m }
activate:
  exec: ["node", "server.js"]
  health: { http: "http://127.0.0.1:\${PORT}/healthz", within: 30s }
rollout:
  waves: [{ percent: 5, bake: 10s }, { percent: 100 }]
  failures: 1%
  targets: { role: web }
`;

test("a recipe is read into the domain's words, defaults filled in", () => {
  assert.deepEqual(parseRecipe(GOOD), {
    service: "hello",
    run: "npm ci && npm run build",
    output: "dist",
    timeoutMs: 900_000,
    activation: {
      exec: ["node", "server.js"],
      hook: [],
      // biome-ignore lint/suspicious/noTemplateCurlyInString: the recipe's own placeholder.
      health: { http: "http://127.0.0.1:${PORT}/healthz", command: [], withinMs: 30_000 },
      port: 0,
      drainMs: 5_000,
    },
    rollout: {
      waves: [
        { percent: 5, regions: [], labels: {}, bakeMs: 10_000 },
        { percent: 100, regions: [], labels: {}, bakeMs: 0 },
      ],
      failuresPercent: 1,
      maxUnavailablePercent: 10,
      targets: { role: "web" },
      sampleMin: 0,
      urgent: false,
    },
  });
});

const REST = "build: {run: a, output: b}\nactivate: {exec: [a]}\n";
const FAULTS: readonly [name: string, text: string, ...faults: string[]][] = [
  ["empty", "", '1:1: expected fields such as "service:"'],
  ["a list", "- a", '1:1: expected fields such as "service:"'],
  ["not YAML", "service: a\nbuild: {run: [", "2:15: "],
  ["service missing", REST, "1:1: service: is missing"],
  ["service's name", `service: Hello\n${REST}`, "1:10: service: expected 1-63 lower-case"],
  ["unknown field", `service: a\nsrvice: b\n${REST}`, '2:1: unknown field "srvice"'],
  [
    "several at once",
    "service: a\nbuild: {run: a, outptu: b, timeout: 5}\nactivate: {exec: [a]}\n",
    "2:1: build.output: is missing",
    "2:37: build.timeout: expected a duration",
    '2:17: build: unknown field "outptu"',
  ],
  [
    "duration over the limit",
    "service: a\nbuild: {run: a, output: b, timeout: 7h}\nactivate: {exec: [a]}\n",
    "2:37: build.timeout: 7h is over the limit of 21600 s",
  ],
  [
    "exec and hook",
    "service: a\nbuild: {run: a, output: b}\nactivate: {exec: [a], hook: [b]}\n",
    "3:11: activate: needs exactly one of exec and hook",
  ],
  [
    "percentage",
    `service: a\n${REST}rollout:\n  waves:\n    - percent: 101\n`,
    '6:16: rollout.waves.0.percent: "101" is not a percentage',
  ],
  [
    "an output outside the repository",
    "service: a\nbuild: {run: a, output: ../b}\nactivate: {exec: [a]}\n",
    "2:25: build.output: is outside the repository",
  ],
  [
    "an empty command",
    'service: a\nbuild: {run: "", output: b}\nactivate: {exec: [""]}\n',
    "2:14: build.run: is empty",
    "3:19: activate.exec.0: is empty",
  ],
  [
    "a NUL character",
    'service: a\nbuild: {run: "a\\0b", output: b}\nactivate: {exec: [a]}\n',
    "2:14: build.run: holds a NUL character",
  ],
  ["a key twice", `service: a\nservice: b\n${REST}`, "2:1: "],
];

for (const [name, text, ...expected] of FAULTS) {
  test(`fault with its place: ${name}`, () => {
    assert.throws(
      () => parseRecipe(text, "f.yaml"),
      (error) => {
        assert.ok(error instanceof RecipeError);
        for (const fault of expected) {
          assert.ok(
            error.faults.some((found) => found.startsWith(`f.yaml:${fault}`)),
            `expected "${fault}" among ${JSON.stringify(error.faults)}`,
          );
        }
        return true;
      },
    );
  });
}

test("aliases that blow up are refused", () => {
  const bomb = `a: &a [x, x, x, x, x, x, x, x, x]
b: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a]
c: &c [*b, *b, *b, *b, *b, *b, *b, *b, *b]
d: [*c, *c, *c, *c, *c, *c, *c, *c, *c]
`;
  assert.throws(() => parseRecipe(bomb), RecipeError);
});

test("an output that is accepted lies in the repository, and is not git's own", () => {
  const parts = fc.constantFrom("..", ".", "", "a", ".git", "-rf", "$(x)", "~", "a b", "...", "\0");
  const run = (output: string): string =>
    JSON.stringify({ service: "a", build: { run: "a", output }, activate: { exec: ["a"] } });
  fc.assert(
    fc.property(fc.array(parts, { minLength: 1, maxLength: 6 }), (path) => {
      const output = path.join("/");
      const full = resolve("/repository", output);
      const isInside = full === "/repository" || full.startsWith("/repository/");
      const isGit = full === "/repository/.git" || full.startsWith("/repository/.git/");
      let accepted = true;
      try {
        assert.equal(parseRecipe(run(output)).output, output);
      } catch (error) {
        assert.ok(error instanceof RecipeError);
        accepted = false;
      }
      if (accepted) assert.ok(isInside && !isGit && !output.includes("\0"), output);
      const isPlain = !path.some((part) => ["..", ".git", "\0"].includes(part));
      if (isPlain && output !== "" && !output.startsWith("/")) assert.ok(accepted, output);
    }),
  );
});
