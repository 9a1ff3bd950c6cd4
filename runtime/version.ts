// The version of the running program, from the package it was installed with.
import { readFileSync } from "node:fs";
import { packageRoot } from "./package-root.ts";

/** Version of the package, as in package.json. */
export const VERSION: string = (
  JSON.parse(readFileSync(new URL("package.json", packageRoot()), "utf8")) as { version: string }
).version;
