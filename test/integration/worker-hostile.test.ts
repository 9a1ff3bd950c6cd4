// What reaches command lines and disks from outside, thrown at the parts that take it: names of
// repositories that try to be options or shell commands, and trees that resist being deleted.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import fc from "fast-check";
import { GitError } from "../../worker/git.ts";
import { SourceMirrors, shownRepository } from "../../worker/source.ts";

const SHA = "0123456789012345678901234567890123456789";
const PATH = process.env["PATH"];
let folder: string;
before(() => {
  folder = mkdtempSync(join(tmpdir(), "millrace-hostile-"));
  // Names such as "host:path" mean ssh; the tests reach no other machine.
  mkdirSync(join(folder, "bin"));
  writeFileSync(join(folder, "bin/ssh"), "#!/bin/sh\nexit 1\n", { mode: 0o755 });
  process.env["PATH"] = `${join(folder, "bin")}:${PATH}`;
});
after(() => {
  process.env["PATH"] = PATH;
  rmSync(folder, { recursive: true, force: true });
});

test("no repository's name runs anything", async () => {
  const canary = join(folder, "canary");
  const touch = `touch ${canary}`;
  const parts = fc.constantFrom(
    ...[
      "-",
      "--",
      "--upload-pack=",
      "-c core.sshCommand=",
      "-oProxyCommand=",
      "ext::",
      "ext::sh -c ",
    ],
    ...[
      touch,
      `$(${touch})`,
      `\`${touch}\``,
      `;${touch};`,
      `|${touch}|`,
      `&&${touch}`,
      `\n${touch}\n`,
    ],
    ...["'", '"', "\\", "/", "..", " ", "x", "host:", "ssh://", "file://", "fd::1", "x.git"],
  );
  const mirrors = new SourceMirrors(folder);
  const target = join(folder, "target");
  const options = { worker: "worker-1", signal: new AbortController().signal };
  const name = fc.array(parts, { minLength: 1, maxLength: 5 }).map((each) => each.join(""));
  await fc.assert(
    fc.asyncProperty(name, async (repository) => {
      await assert.rejects(mirrors.checkOut(repository, SHA, target, options), GitError);
      assert.equal(existsSync(canary), false, repository);
    }),
    { numRuns: 30 },
  );
});

test("what is shown of a repository holds no password, and no token", () => {
  const shown: Record<string, string> = {
    "https://user:secret@host/a.git": "https://host/a.git",
    "https://token@host/a.git": "https://host/a.git",
    "http://host/a@b.git": "http://host/a@b.git",
    "ssh://git:secret@host/a": "ssh://git@host/a",
    "ssh://git@host/a": "ssh://git@host/a",
    "git@host:a/b.git": "git@host:a/b.git",
    "/a/b@c": "/a/b@c",
  };
  for (const [repository, expected] of Object.entries(shown)) {
    assert.equal(shownRepository(repository), expected);
  }
});

test("a tree is deleted though its folders may not be written, read or entered", () => {
  const tree = join(folder, "tree");
  mkdirSync(join(tree, "a/b/c"), { recursive: true });
  writeFileSync(join(tree, "a/b/c/file"), "");
  writeFileSync(join(tree, "a/file"), "", { mode: 0o400 });
  for (const path of ["a/b/c", "a/b", "a"]) chmodSync(join(tree, path), path === "a" ? 0o500 : 0);
  const module = new URL("../../worker/remove-tree.ts", import.meta.url).href;
  const script = `import { removeTree } from ${JSON.stringify(module)};
    await removeTree(${JSON.stringify(tree)}); await removeTree(${JSON.stringify(tree)});`;
  const node = [process.execPath, "--input-type=module", "--eval", script];
  // For root, modes mean nothing unless it gives up the right to pass over them.
  const drop = "-dac_override,-dac_read_search";
  const setpriv = ["setpriv", `--inh-caps=${drop}`, `--bounding-set=${drop}`];
  const [command, ...args] = process.getuid?.() === 0 ? [...setpriv, ...node] : node;
  execFileSync(command as string, args, { stdio: "pipe" });
  assert.equal(existsSync(tree), false);
});
