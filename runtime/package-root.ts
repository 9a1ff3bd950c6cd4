// Where the package lies: the checkout, or the installed folder above `dist/`.
import { existsSync } from "node:fs";

/** URL of the package's folder, with a slash at its end. */
export function packageRoot(): URL {
  const above = new URL("../", import.meta.url);
  return existsSync(new URL("package.json", above)) ? above : new URL("../", above);
}
