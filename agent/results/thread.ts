/** Threads for results, beside whose files this one is. */
import { extname, join } from "node:path";
import { Worker, type WorkerOptions } from "node:worker_threads";

/** Starts the thread of `NAME-thread.ts`, which is a `.js` in the published package. */
export function startThread(name: "result" | "request", options: WorkerOptions): Worker {
  return new Worker(join(import.meta.dirname, `${name}-thread${extname(import.meta.filename)}`), options);
}
