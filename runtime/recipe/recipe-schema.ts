// The shape of a millrace.yaml: which fields there are, what they may hold, and their defaults.
// Where in the text a fault lies is found in `parse-recipe.ts`.
import { z } from "zod";
import { parseDuration } from "./duration.ts";

const LABEL_COUNT_MAX = 64;
const ARGUMENT_COUNT_MAX = 256;
const WAVE_COUNT_MAX = 20;
const BUILD_TIMEOUT_MS_MAX = 6 * 3_600_000;
const HEALTH_WITHIN_MS_MAX = 15 * 60_000;
const BAKE_MS_MAX = 24 * 3_600_000;

const duration = (msMax: number) =>
  z.string({ error: 'expected a duration such as "30s" or "15m"' }).transform((text, context) => {
    const ms = parseDuration(text);
    if (ms === undefined) {
      context.addIssue(`"${text}" is not a duration; write it as "500ms", "30s", "15m" or "2h"`);
      return z.NEVER;
    }
    if (ms > msMax) {
      context.addIssue(`${text} is over the limit of ${msMax / 1_000} s`);
      return z.NEVER;
    }
    return ms;
  });

const percent = z
  .union([z.number(), z.string()], { error: "expected a percentage such as 5 or 5%" })
  .transform((value, context) => {
    const number = typeof value === "number" ? value : Number(/^([\d.]+) ?%$/.exec(value)?.[1]);
    if (Number.isFinite(number) && number >= 0 && number <= 100) return number;
    context.addIssue(`"${value}" is not a percentage from 0 to 100`);
    return z.NEVER;
  });

const labels = z
  .record(
    z.string().regex(/^[A-Za-z0-9]([A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?$/),
    z.string().max(256, "a label's value has at most 256 characters"),
  )
  .refine((value) => Object.keys(value).length <= LABEL_COUNT_MAX, {
    error: `at most ${LABEL_COUNT_MAX} labels`,
  });

/** What the kernel takes as a part of a command or a path: anything but a NUL. */
const text = (charactersMax: number, error?: string) =>
  z
    .string(error === undefined ? undefined : { error })
    .min(1, "is empty")
    .max(charactersMax, `has more than ${charactersMax} characters`)
    .refine((value) => !value.includes("\0"), { error: "holds a NUL character" });

const argv = z
  .array(text(4_096))
  .min(1, 'expected a command and its arguments, as in ["node", "server.js"]')
  .max(ARGUMENT_COUNT_MAX);

const health = z
  .strictObject({
    http: z
      .string()
      // biome-ignore lint/suspicious/noTemplateCurlyInString: the recipe's own placeholder.
      .regex(/^https?:\/\/[^\s]+$/, 'expected a URL such as "http://127.0.0.1:${PORT}/healthz"')
      .optional(),
    command: argv.optional(),
    within: duration(HEALTH_WITHIN_MS_MAX).default(30_000),
  })
  .refine((value) => (value.http === undefined) !== (value.command === undefined), {
    error: "needs exactly one of http and command",
  });

const activate = z
  .strictObject({
    exec: argv.optional(),
    hook: argv.optional(),
    health: health.optional(),
    port: z.int().min(1).max(65_535).optional(),
    drain: duration(10 * 60_000).default(5_000),
  })
  .refine((value) => (value.exec === undefined) !== (value.hook === undefined), {
    error: "needs exactly one of exec and hook",
  });

const wave = z.strictObject({
  percent: percent.default(100),
  regions: z.array(z.string().min(1)).max(64).default([]),
  labels: labels.default({}),
  bake: duration(BAKE_MS_MAX).default(0),
});

const rollout = z.strictObject({
  waves: z
    .array(wave)
    .min(1)
    .max(WAVE_COUNT_MAX)
    .default([{ percent: 100, regions: [], labels: {}, bake: 0 }]),
  failures: percent.default(0),
  maxUnavailable: percent.default(10),
  minSample: z.int().min(0).max(100_000).default(0),
  targets: labels.default({}),
  urgent: z.boolean().default(false),
});

/** A service's name: a part of file names and keys everywhere. */
export const SERVICE_NAME = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

export const recipeSchema = z.strictObject({
  service: z
    .string({ error: "expected the service's name" })
    .regex(SERVICE_NAME, "expected 1-63 lower-case letters, digits and dashes"),
  build: z.strictObject({
    run: text(65_536, "expected a shell command"),
    output: text(4_096, "expected the path of the output, a file or a folder").refine(isInside, {
      error: 'is outside the repository; expected a path below it, as in "dist", or "."',
    }),
    timeout: duration(BUILD_TIMEOUT_MS_MAX).default(15 * 60_000),
  }),
  activate,
  rollout: rollout.prefault({}),
});

/** Whether a path stays below where it begins; git's own folder is not a part of the repository. */
function isInside(path: string): boolean {
  const parts = path.split("/");
  return !path.startsWith("/") && !parts.includes("..") && parts.find(isName) !== ".git";
}

function isName(part: string): boolean {
  return part !== "" && part !== ".";
}
