// Holds packaging/ to the programs: units that systemd takes, flags and files that exist, times that fit.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { packageRoot } from "../../runtime/package-root.ts";
import { flagFaults } from "./command-flags.ts";
import { assertNone } from "./source-files.ts";

const FOLDER = fileURLToPath(new URL("packaging/", packageRoot()));
/** Where the units expect the command; it is not installed where they are tried. */
const COMMAND = "/usr/local/bin/millrace";

const units = globSync("systemd/*.service", { cwd: FOLDER })
  .sort()
  .map((path) => ({ path, text: readFileSync(join(FOLDER, path), "utf8") }));

/** The values of a setting of a unit. */
function settings(text: string, name: string): string[] {
  return [...text.matchAll(new RegExp(`^${name}=(.*)$`, "gm"))].map((match) => match[1] as string);
}

test("there is a unit for each daemon, and systemd finds nothing wrong with it", () => {
  assert.deepEqual(
    units.map(({ path }) => basename(path, ".service")),
    ["agent", "controlplane", "relay", "worker"].map((name) => `millrace-${name}`),
  );
  const folder = mkdtempSync(join(tmpdir(), "millrace-units-"));
  try {
    const paths = units.map(({ path, text }) => {
      const copy = join(folder, basename(path));
      writeFileSync(copy, text.replaceAll(COMMAND, "/bin/true"));
      return copy;
    });
    const said = execFileSync("systemd-analyze", ["verify", "--man=no", ...paths], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "pipe"],
    });
    assert.equal(said, "");
  } catch (cause) {
    const isMissing = (cause as NodeJS.ErrnoException).code === "ENOENT";
    if (isMissing) throw new Error("units are not tried: apt-get install systemd", { cause });
    throw cause;
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("units name flags that the programs have, and variables that their examples set", () => {
  const faults = units.flatMap(({ path, text }) => {
    const [exec = ""] = settings(text, "ExecStart");
    const line = exec.replace(COMMAND, "millrace");
    assert.ok(line.startsWith("millrace "), `${path}: ${exec}`);
    const name = line.split(" ")[1] as string;
    const example = readFileSync(join(FOLDER, `systemd/${name}.env`), "utf8");
    const [given = ""] = settings(example, "FLAGS");
    const unset = [...line.matchAll(/\$\{?([A-Z_]+)\}?/g)]
      .map((match) => match[1] as string)
      .filter((variable) => settings(example, variable).length !== 1)
      .map((variable) => `${name}.env does not set ${variable}`);
    return [...flagFaults(line), ...flagFaults(`millrace ${name} ${given}`), ...unset].map(
      (fault) => `${path} ${fault}`,
    );
  });
  assertNone(faults, "name what exists");
});

test("systemd waits longer than a program drains, and leaves an agent's services alone", () => {
  for (const { path, text } of units) {
    const [exec = ""] = settings(text, "ExecStart");
    const drainS = Number(/--drain-timeout (\d+)s/.exec(exec)?.[1]);
    assert.ok(Number(settings(text, "TimeoutStopSec")[0]) >= drainS + 5, path);
    assert.deepEqual(settings(text, "Restart"), ["always"], path);
    const [mode] = settings(text, "KillMode");
    assert.equal(mode === "process", path.includes("agent"), path);
  }
});

test("the container file copies and starts what the tarball holds", () => {
  const text = readFileSync(join(FOLDER, "Containerfile"), "utf8");
  const manifest = JSON.parse(readFileSync(new URL("package.json", packageRoot()), "utf8"));
  assert.ok(
    text.includes(`TARBALL=${manifest.name}-${manifest.version}.tgz`),
    "the tarball's name",
  );
  const [entry = ""] = [...text.matchAll(/^ENTRYPOINT \["([^"]+)"\]$/gm)].map((match) => match[1]);
  assert.ok(Object.hasOwn(manifest.bin, entry as string), `${entry} is no command of the package`);
  const runs = [...text.matchAll(/^#.* podman run millrace (.*)$/gm)];
  assert.equal(runs.length, 1);
  assertNone(
    runs.flatMap((match) => flagFaults(`millrace ${match[1]}`)),
    "name what exists",
  );
});
