// A real disk that is small enough to fill: a tmpfs of its own. It needs the right to mount; a test
// that cannot have one fails, because a full disk that is not tried proves nothing.
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A mounted disk; `remove` unmounts it, whatever is on it. */
export interface SmallDisk {
  readonly path: string;
  /** Gives it another size. */
  resize(kibibytes: number): void;
  remove(): void;
}

/** Mounts a tmpfs of `kibibytes` KiB and at most `files` files and directories. */
export function mountSmallDisk(kibibytes: number, files = 1000): SmallDisk {
  const path = mkdtempSync(join(tmpdir(), "millrace-disk-"));
  const options = `size=${kibibytes}k,nr_inodes=${files}`;
  execFileSync("mount", ["-t", "tmpfs", "-o", options, "tmpfs", path]);
  return {
    path,
    resize: (to) => execFileSync("mount", ["-o", `remount,size=${to}k`, path]),
    remove: () => {
      execFileSync("umount", ["-l", path]);
      rmdirSync(path);
    },
  };
}
