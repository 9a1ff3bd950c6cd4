// Runs the blob store's contract on the file: driver.
import { describe } from "node:test";
import { blobContract } from "./blob-contract.ts";
import { blobSharingCases } from "./blob-sharing.ts";
import { openFilesForTest } from "./opened-files.ts";

blobContract("file", openFilesForTest);
describe("blob stores that share: file", () => blobSharingCases(openFilesForTest));
