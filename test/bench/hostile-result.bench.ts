/** How long the agent's event loop is held while a hostile result is read: in process, and in a thread. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { readOffLoop } from "../../agent/results/off-loop.ts";
import { readResultFile } from "../../agent/results/result-file.ts";
import { temporaryDirectory } from "../../os/files/temporary.ts";

const MiB = 1024 * 1024;
const head = ": 1\nname: hello\nversion: 1\nstatus: success\nupdate-status: success\nupdate-log:\\\n";

export default async function bench(): Promise<void> {
  await using directory = await temporaryDirectory("croft-bench-");
  const wanted = { file: join(directory.path, "result.manifest"), maxBytes: 96 * MiB };
  await writeFile(wanted.file, `${head}${"\n".repeat(90 * MiB)}x\n\\\n`);
  const inProcess = await longestPause(() => readResultFile(wanted));
  const inThread = await longestPause(() => readOffLoop(wanted));
  process.stdout.write(
    `90 MiB of newlines, longest pause of the event loop: in process ${inProcess.toFixed(0)} ms, ` +
      `in a thread ${inThread.toFixed(0)} ms (ratio ${(inProcess / inThread).toFixed(1)})\n`,
  );
}

/** In milliseconds. */
async function longestPause(work: () => Promise<unknown>): Promise<number> {
  const delay = monitorEventLoopDelay({ resolution: 5 });
  delay.enable();
  await work();
  await new Promise((resolve) => setTimeout(resolve, 50)); // the pause is seen when it is over
  delay.disable();
  return delay.max / 1e6;
}
