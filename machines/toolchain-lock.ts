import { setTimeout as pause } from "node:timers/promises";
import { isAbsolute } from "node:path";
import { UsageFailure } from "../os/failure.ts";
import { tryLockFile, type FileLock } from "../os/files/flock.ts";
import type { Log } from "../os/log.ts";

/** It is held for a moment mostly, and a build may be waiting for whoever waits; long ones are those of slow controllers. */
const pollMilliseconds = { first: 5, later: 100 };
const firstMilliseconds = 1000;
const warnSeconds = 60;

/**
 * The toolchain lock, one for each host and toolchain: held by whoever looks through the machines. Its value is
 * passed where it must be held. On every way out, machine locks are released before it.
 */
export class ToolchainLock implements Disposable {
  #file: FileLock | undefined;
  #held = true;

  /** Use {@link takeToolchainLock}. */
  constructor(file: FileLock | undefined) {
    this.#file = file;
  }

  /** Throws if it has been released: a bug of the caller. */
  assertHeld(): void {
    if (!this.#held) throw new Error("the toolchain lock is not held any more");
  }

  [Symbol.dispose](): void {
    this.#held = false;
    this.#file?.[Symbol.dispose]();
    this.#file = undefined;
  }
}

/**
 * Takes the toolchain lock; waits as long as it takes, with a warning each minute. The file stays.
 *
 * @param path absolute; empty: no locking.
 * @throws {UsageFailure} for a relative path, a `Failure` if the file cannot be opened, the signal's reason if
 * aborted.
 */
export async function takeToolchainLock(
  path: string,
  log: Log,
  signal?: AbortSignal,
): Promise<ToolchainLock> {
  if (path === "") return new ToolchainLock(undefined);
  if (!isAbsolute(path)) throw new UsageFailure(`use toolchain lock '${path}'`, "expected an absolute path");
  const began = performance.now();
  let warnAt = began + warnSeconds * 1000;
  for (let tries = 0; ; tries++) {
    signal?.throwIfAborted();
    const file = tryLockFile(path);
    if (file) return new ToolchainLock(file);
    if (tries === 0) log.trace({ path }, "waiting for the toolchain lock");
    if (performance.now() >= warnAt) {
      log.warn(
        { path },
        `still waiting for the toolchain lock after ${Math.round((performance.now() - began) / 1000)} s`,
      );
      warnAt += warnSeconds * 1000;
    }
    // Waiting instances must not ask in step.
    const isFirst = performance.now() - began < firstMilliseconds;
    const milliseconds = isFirst ? pollMilliseconds.first : pollMilliseconds.later;
    await pause(milliseconds * (0.5 + Math.random()), undefined, { signal }).catch(() => {});
  }
}
