/** A shell that holds a lock as operators do it. */
import { spawn } from "node:child_process";
import { once } from "node:events";

/** Holds a lock by `flock -n` until it is disposed of. */
export async function shellHolding(path: string): Promise<AsyncDisposable> {
  const holder = spawn("flock", ["-n", path, "sh", "-c", "echo held; exec sleep 3600"], {
    stdio: ["ignore", "pipe", "inherit"],
    detached: true,
  });
  await once(holder.stdout, "data");
  return {
    [Symbol.asyncDispose]: async () => {
      process.kill(-holder.pid!, "SIGKILL");
      await once(holder, "close");
    },
  };
}
