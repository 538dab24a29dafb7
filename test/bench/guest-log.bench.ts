/** What it costs a build that its output goes through the guest's worker: live log, bounded copy, search for warnings. */
import { run } from "../../os/run.ts";
import { runGuest } from "../worker/guest.ts";
import { packSource, script, serveSources } from "../worker/sources.ts";

const mebibytes = 200;
const print = `yes 'gcc -O2 -g -c some/file/name.c -o some/file/name.o' | head -c ${mebibytes * 1024 * 1024}`;

export default async function bench(): Promise<void> {
  const pipe = await seconds(() => run(["sh", "-c", `${print} | cat > /dev/null`], { timeoutSeconds: 60 }));
  report("the same output through a pipe to /dev/null", pipe);
  for (const shell of ["dash", "busybox"] as const) {
    await using sources = await serveSources();
    const build = async (...lines: string[]) => {
      await packSource(sources, { ".croft/update": script(...lines) });
      return seconds(() => runGuest({ shell, task: { version: "1.0", "repository-url": sources.url } }));
    };
    const silent = await build("true");
    const loud = (await build(print)) - silent;
    report(`through the worker, ${shell === "dash" ? "Debian's programs" : "busybox"}`, loud, pipe);
  }
}

async function seconds(work: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await work();
  return (performance.now() - began) / 1000;
}

function report(what: string, time: number, alternative?: number): void {
  const ratio = alternative === undefined ? "" : `, ${(time / alternative).toFixed(1)} times the pipe`;
  process.stdout.write(`${what}: ${(mebibytes / time).toFixed(0)} MiB/s${ratio}\n`);
}
