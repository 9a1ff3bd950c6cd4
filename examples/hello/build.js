// Builds the example into dist/: the server and 24 MiB of assets that neither compress nor repeat, so
// that there is something to spread. Every asset follows from its name and its version in assets.json:
// raise one version, and only that asset changes. Needs nothing but Node.
import { createCipheriv, createHash } from "node:crypto";
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const OUT = "dist";
const { assets } = JSON.parse(readFileSync("assets.json", "utf8"));

rmSync(OUT, { recursive: true, force: true });
mkdirSync(join(OUT, "assets"), { recursive: true });
for (const file of ["server.js", "version.json", "package.json"]) cpSync(file, join(OUT, file));
for (const { name, kib, version } of assets) {
  writeFileSync(join(OUT, "assets", name), noise(`${name} ${version}`, kib * 1024));
}
console.log(`built ${assets.length} assets into ${OUT}/`);

/** Bytes that look random and depend on `seed` alone. */
function noise(seed, bytes) {
  const key = createHash("sha256").update(seed).digest();
  const cipher = createCipheriv("aes-256-ctr", key, Buffer.alloc(16));
  return cipher.update(Buffer.alloc(bytes));
}
