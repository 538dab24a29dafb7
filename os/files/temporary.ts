import { rmSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A directory that is removed, with all that is in it, when it is disposed of. */
export interface TemporaryDirectory extends AsyncDisposable {
  readonly path: string;
}

const existing = new Set<string>();
const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** Makes a temporary directory `<parent>/<prefix>xxxxxx`. It is removed, too, when a signal ends the process. */
export async function temporaryDirectory(prefix = "croft-", parent = tmpdir()): Promise<TemporaryDirectory> {
  const path = await mkdtemp(join(parent, prefix));
  existing.add(path);
  if (existing.size === 1) for (const signal of signals) process.on(signal, endBy);
  return {
    path,
    [Symbol.asyncDispose]: async () => {
      await rm(path, { recursive: true, force: true, maxRetries: 3 });
      existing.delete(path);
      if (existing.size === 0) for (const signal of signals) process.off(signal, endBy);
    },
  };
}

/** Does what a signal does of itself, without leaving anything; whoever else listens to it ends the process in order. */
function endBy(signal: NodeJS.Signals): void {
  if (process.listenerCount(signal) > 1) return;
  for (const path of existing) rmSync(path, { recursive: true, force: true });
  process.off(signal, endBy);
  process.kill(process.pid, signal);
}
