/** A program of its own: makes the files of an embedded database in a directory, and ends. */
import { startEngine } from "./embedded.ts";

const [directory] = process.argv.slice(2);
if (directory === undefined) throw new TypeError("no directory");
await (await startEngine(directory)).close();
