/**
 * The remote worker as a program of its own: `node worker/remote/main.ts [--work-dir DIR] [--threads N]`.
 *
 * A boss copies it with the files that it imports (worker/remote/shipped.ts) to hosts that have Node.js, and nothing
 * of croft: so neither this file nor any that it imports may need a package.
 */
import { parseArgs } from "node:util";
import { runWorker } from "./run-worker.ts";

const { values } = parseArgs({
  options: { "work-dir": { type: "string" }, threads: { type: "string" } },
});
await runWorker({
  ...(values["work-dir"] !== undefined && { workDir: values["work-dir"] }),
  ...(values.threads !== undefined && { threads: values.threads }),
});
