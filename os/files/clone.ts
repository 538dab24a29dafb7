import { closeSync, constants, ftruncateSync, openSync } from "node:fs";
import { copyFile } from "node:fs/promises";
import { attempt } from "../failure.ts";
import { run } from "../run.ts";

const copyTimeoutSeconds = 3600; // a large file, where no extents are shared

/**
 * Makes the content of an open file that of another one: with shared extents where the file system has them, else as a copy
 * without what is not written. The file stays the same one, for whoever has it open.
 *
 * @throws {Failure} if there is no room, for instance.
 */
export async function cloneInto(descriptor: number, from: string, signal?: AbortSignal): Promise<void> {
  // By its name both might remove it when they fail.
  const to = `/proc/${process.pid}/fd/${descriptor}`;
  await attempt(
    `clone '${from}'`,
    (async () => {
      ftruncateSync(descriptor, 0);
      await copyFile(from, to, constants.COPYFILE_FICLONE_FORCE).catch(async () => {
        const argv = ["cp", "--reflink=never", "--sparse=always", "--", from, to]; // Node.js would write the holes
        await run(argv, { timeoutSeconds: copyTimeoutSeconds, ...(signal && { signal }) });
      });
    })(),
  );
}

/** The same for a file by its name, which is made if it is not there. */
export async function cloneFile(from: string, to: string, signal?: AbortSignal): Promise<void> {
  const descriptor = openSync(to, constants.O_RDWR | constants.O_CREAT, 0o600);
  try {
    await cloneInto(descriptor, from, signal);
  } finally {
    closeSync(descriptor);
  }
}
