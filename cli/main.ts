// Entry of the command line.
import { VERSION } from "../runtime/version.ts";

if (process.argv[2] === "--version") console.log(VERSION);
