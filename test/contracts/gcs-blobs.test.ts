// Runs the blob store's contract on the gs: driver, against a real fake-gcs-server.
import { after, before, describe } from "node:test";
import { FakeGcs, fakeGcsMissing } from "../lab/fake-gcs.ts";
import { blobContract } from "./blob-contract.ts";
import { openGcsForTest } from "./opened-gcs.ts";

describe("on fake-gcs-server", { skip: fakeGcsMissing() }, () => {
  let server: FakeGcs;
  before(async () => {
    server = await FakeGcs.start();
  });
  after(() => server.kill());

  blobContract("gs", () => openGcsForTest(server));
});
