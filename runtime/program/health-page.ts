// A program's health over HTTP, beside its metrics: /livez and /readyz, for supervisors that ask that way.
import type { Health } from "./health.ts";

export interface HealthPage {
  readonly status: number;
  readonly text: string;
}

/** The answer to a GET of this path; undefined: it is no page of health. */
export function healthPage(health: Health, path: string): HealthPage | undefined {
  switch (path.split("?", 1)[0]) {
    case "/livez":
      return { status: 200, text: "live\n" };
    case "/readyz": {
      if (health.isReady) return { status: 200, text: "ready\n" };
      const lines = [...health.missing].map(([name, what]) => `${name}: ${what}\n`);
      return { status: 503, text: `not ready\n${lines.join("")}` };
    }
    default:
      return undefined;
  }
}
