// Runs the store's contract on the SQLite driver.
import { openSqliteForTest } from "./opened-sqlite.ts";
import { storeContract } from "./store-contract.ts";

storeContract("sqlite", () => openSqliteForTest());
