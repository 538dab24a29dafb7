/**
 * What the demo keeps in `.cache/demo` of the clone:
 *
 *     lock            held by the demo that runs, and by its children: the file system must not be mounted twice
 *     machines.img    btrfs file system with the machine, sparse; mounted on machines/ (where btrfs cannot be had,
 *                     machines/ is a plain directory)
 *     run/            everything of one run: controller, spool, TFTP, sources; made anew by each
 *     logs/           what was said in the last run
 */
import { existsSync } from "node:fs";
import { mkdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { Failure, reasonOf } from "../../os/failure.ts";
import { packageFile } from "../../os/files/package.ts";
import { run } from "../../os/run.ts";
import { holdersOf, lockFile, type HeldLock } from "../setup/lock.js";

const imageSize = "16G"; // sparse: it takes what is in it

export interface DemoState extends AsyncDisposable {
  readonly machines: string;
  readonly storage: "btrfs" | "directory";
  /** Why it is not btrfs. */
  readonly obstacle?: string;
  readonly run: string;
  readonly logs: string;
  /** Descriptor of the lock: whatever works on the machines keeps it open. */
  readonly lock: number;
}

/**
 * Takes the state directory for this run.
 *
 * @param canMount in a mount namespace of our own, so that nothing stays mounted.
 * @throws {Failure} if another demo of this clone runs.
 */
export async function openState(
  canMount: boolean,
  signal: AbortSignal,
  root: string = packageFile(".cache", "demo"),
): Promise<DemoState> {
  await using stack = new AsyncDisposableStack();
  const path = (name: string) => join(root, name);
  await mkdir(root, { recursive: true });
  const lock = await takeLock(path("lock"), signal);
  stack.defer(() => lock.release());
  for (const name of ["run", "logs"]) {
    await rm(path(name), { recursive: true, force: true, maxRetries: 3 });
    await mkdir(path(name));
  }
  stack.defer(() => rm(path("run"), { recursive: true, force: true, maxRetries: 3 }));
  await mkdir(path("machines"), { recursive: true });
  const obstacle = await useBtrfs(path("machines"), path("machines.img"), canMount, stack, signal);
  const held = stack.move();
  return {
    machines: path("machines"),
    storage: obstacle === undefined ? "btrfs" : "directory",
    ...(obstacle === undefined ? {} : { obstacle }),
    run: path("run"),
    logs: path("logs"),
    lock: lock.fd,
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  };
}

/** Takes the lock; from what a killed demo has left behind as soon as that has ended, too. */
async function takeLock(path: string, signal: AbortSignal): Promise<HeldLock> {
  for (const deadline = Date.now() + 30_000; ; await delay(500, undefined, { signal })) {
    const lock = await lockFile(path, "exclusive");
    if (lock) return lock;
    const holders = holdersOf(path);
    if (Date.now() < deadline && !holders.some((holder) => holder.includes("demo/main.ts"))) continue;
    throw new Failure("start the demo", "another one of this clone runs", {
      hints: holders.map((holder) => `process ${holder}`),
    });
  }
}

/** @returns why there is no btrfs; undefined if there is. */
async function useBtrfs(
  directory: string,
  image: string,
  canMount: boolean,
  stack: AsyncDisposableStack,
  signal: AbortSignal,
): Promise<string | undefined> {
  if (!canMount) return "mounting needs root, and leave to do so";
  const options = { timeoutSeconds: 60, signal };
  const mount = () => run(["mount", "-t", "btrfs", "-o", "loop,noatime", image, directory], options);
  try {
    await loadBtrfs(signal);
    if (existsSync(image))
      await mount().catch(async (error: unknown) => {
        signal.throwIfAborted();
        await rm(image); // cut off while it was made, or damaged: it is only a cache
        process.stderr.write(`The kept file system is made anew: ${reasonOf(error)}\n`);
      });
    if (!existsSync(image)) {
      await run(["truncate", "--size", imageSize, `${image}.new`], options);
      await run(["mkfs.btrfs", "--quiet", "--force", `${image}.new`], options);
      await run(["mv", `${image}.new`, image], options);
      await mount();
    }
  } catch (error) {
    signal.throwIfAborted();
    return reasonOf(error);
  }
  stack.defer(async () => {
    await run(["umount", "--lazy", directory], { timeoutSeconds: 60 });
  });
  return undefined;
}

async function loadBtrfs(signal: AbortSignal): Promise<void> {
  if (/\tbtrfs$/m.test(await readFile("/proc/filesystems", "utf8"))) return;
  await run(["modprobe", "btrfs"], { timeoutSeconds: 20, signal });
}
