// Reads a millrace.yaml into the domain's words. Faults are told as `parse-yaml.ts` tells them.
import type { z } from "zod";
import type { Activation, RolloutPolicy } from "../../proto/gen/millrace/v1/release_format.ts";
import { parseYaml } from "./parse-yaml.ts";
import { recipeSchema } from "./recipe-schema.ts";

/** How a service is built, run and rolled out. */
export interface Recipe {
  readonly service: string;
  /** Shell command of the build. */
  readonly run: string;
  /** Path of its output in the checkout. */
  readonly output: string;
  readonly timeoutMs: number;
  readonly activation: Activation;
  readonly rollout: RolloutPolicy;
}

/** Parses a recipe; `file` is how errors name it. Throws RecipeError with every fault found. */
export function parseRecipe(text: string, file = "millrace.yaml"): Recipe {
  return asRecipe(parseYaml(text, file, recipeSchema, '"service:" and "build:"'));
}

function asRecipe(data: z.output<typeof recipeSchema>): Recipe {
  const { activate, rollout } = data;
  const health = activate.health;
  return {
    service: data.service,
    run: data.build.run,
    output: data.build.output,
    timeoutMs: data.build.timeout,
    activation: {
      exec: activate.exec ?? [],
      hook: activate.hook ?? [],
      health:
        health === undefined
          ? undefined
          : { http: health.http ?? "", command: health.command ?? [], withinMs: health.within },
      port: activate.port ?? 0,
      drainMs: activate.drain,
    },
    rollout: {
      waves: rollout.waves.map((wave) => ({
        percent: wave.percent,
        regions: wave.regions,
        labels: wave.labels,
        bakeMs: wave.bake,
      })),
      failuresPercent: rollout.failures,
      maxUnavailablePercent: rollout.maxUnavailable,
      targets: rollout.targets,
      sampleMin: rollout.minSample,
      urgent: rollout.urgent,
    },
  };
}
