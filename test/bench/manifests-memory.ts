/** Run by manifests.bench.ts: reads the manifests in a file, if there is one, and prints its own peak memory in bytes. */
import { readFileSync } from "node:fs";
import { readPairs } from "../../manifests/text/fast-reader.ts";

const [file] = process.argv.slice(2);
const pairs = file === undefined ? [] : readPairs(readFileSync(file));
// Not resourceUsage(): what that says includes the parent's memory from before the program was loaded.
const [, kibibytes] = /^VmHWM:\s*(\d+) kB$/m.exec(readFileSync("/proc/self/status", "utf8"))!;
process.stdout.write(JSON.stringify({ pairs: pairs.length, peak: Number(kibibytes) * 1024 }));
