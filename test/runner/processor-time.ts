/**
 * Loaded before each test file, if CROFT_TEST_TIMES names a file: there a line of JSON is added when the file's process
 * ends, with the processor time that it took with all its descendants that it has waited for.
 */
import { appendFileSync, readFileSync } from "node:fs";
import { basename, relative } from "node:path";
import { packageRoot } from "../../os/files/package.ts";
import { timesVariable, type FileTime } from "./slowest.ts";

/** The unit of times in `/proc/PID/stat`, whatever the kernel's own: see proc(5). */
const ticksPerSecond = 100;

const times = process.env[timesVariable];
const file = process.argv[1];
if (times !== undefined && file !== undefined && process.env["NODE_TEST_CONTEXT"] !== undefined)
  process.on("exit", () => {
    const path = relative(packageRoot, file);
    const name = path.startsWith("..") ? basename(file, ".mjs") : path; // a group, see together.ts
    const line: FileTime = { file: name, seconds: processorSeconds() };
    appendFileSync(times, `${JSON.stringify(line)}\n`);
  });

/** utime, stime, cutime and cstime: fields 14 to 17, counted from what follows the command's name. */
function processorSeconds(): number {
  const stat = readFileSync("/proc/self/stat", "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0) / ticksPerSecond;
}
