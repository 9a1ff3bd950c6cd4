// Runs the blob store's contract on the file: driver.
import { blobContract } from "./blob-contract.ts";
import { openFilesForTest } from "./opened-files.ts";

blobContract("file", openFilesForTest);
