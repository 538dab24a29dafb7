import { availableParallelism } from "node:os";
import { UsageFailure, assertFailure } from "../../os/failure.ts";
import { expandHome } from "./toolchain.ts";
import { Conversation } from "./conversation.ts";

/** How often a target that is being built is told to be so, unless the boss wants it more often. */
const heartbeatSeconds = 30;

/** The worker's options, as they stand on the command line. */
export interface WorkerOptions {
  /** Default: the current directory. */
  workDir?: string;
  /** Default: as many as this host has, or this process may use. */
  threads?: string;
}

/** Talks with a boss over standard input and output, and ends this process when they are through. */
export async function runWorker(options: WorkerOptions): Promise<never> {
  process.stderr.on("error", () => {}); // a boss that has gone reads nothing any more
  const controller = new AbortController();
  let status = 0;
  for (const [signal, number] of [
    ["SIGHUP", 1],
    ["SIGINT", 2],
    ["SIGTERM", 15],
  ] as const)
    process.once(signal, () => {
      status = 128 + number;
      controller.abort();
    });
  try {
    using conversation = new Conversation({
      input: process.stdin,
      output: process.stdout,
      log: (text) => process.stderr.write(`croft worker: ${text}\n`),
      workDir: expandHome(options.workDir ?? process.cwd()),
      threads: readThreads(options.threads),
      heartbeatSeconds,
      signal: controller.signal,
    });
    await conversation.run();
  } catch (error) {
    assertFailure(error);
    process.stderr.write(`croft worker: ${error.message}\n`);
    status = error.exitStatus;
  }
  process.exit(status); // whatever is still open: nothing is left to be said
}

function readThreads(text: string | undefined): number {
  if (text === undefined) return availableParallelism();
  const threads = Number(text);
  if (Number.isSafeInteger(threads) && threads > 0 && threads <= 1024) return threads;
  throw new UsageFailure(`use --threads ${text}`, "a number from 1 to 1024 is wanted");
}
