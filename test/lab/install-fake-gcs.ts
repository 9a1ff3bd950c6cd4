// Builds fake-gcs-server, which tests of gs: stores run against, from the Go module proxy: once for a version,
// into a cache outside of the repository. Two cores take 1-2 min for it and 1.2 GB of Go's own caches.
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { FAKE_GCS_MODULE, FAKE_GCS_PROGRAM } from "./fake-gcs.ts";

/** Where Go is installed by default, and often not on the path. */
const GO_FOLDER = "/usr/local/go/bin";

if (!existsSync(FAKE_GCS_PROGRAM)) install();
process.stdout.write(`${FAKE_GCS_PROGRAM}\n`);

function install(): void {
  mkdirSync(dirname(FAKE_GCS_PROGRAM), { recursive: true });
  const folder = mkdtempSync(`${FAKE_GCS_PROGRAM}-`);
  try {
    execFileSync("go", ["install", FAKE_GCS_MODULE], {
      env: {
        ...process.env,
        PATH: [process.env["PATH"], GO_FOLDER].join(delimiter),
        GOBIN: folder,
        CGO_ENABLED: "0",
      },
      stdio: ["ignore", "inherit", "inherit"],
    });
    renameSync(join(folder, "fake-gcs-server"), FAKE_GCS_PROGRAM);
  } catch (error) {
    process.stderr.write(`cannot build ${FAKE_GCS_MODULE}: is Go 1.26 or newer installed?\n`);
    throw error;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
