import { open } from "node:fs/promises";
import { Failure } from "../failure.ts";
import { libc } from "../libc.ts";

type Callback = (error: unknown, result: number) => void;

/**
 * Writes all of the file system that a directory is on to the disk, by syncfs(2): thousands of small files at the
 * price of one. Other work goes on meanwhile.
 *
 * @throws {Failure} if that fails.
 */
export async function syncFileSystem(directory: string): Promise<void> {
  await using handle = await open(directory, "r");
  const syncfs = libc.func("int syncfs(int)");
  const result = await new Promise<number>((resolve, reject) => {
    const done: Callback = (error, status) => (error ? reject(error as Error) : resolve(status));
    syncfs.async(handle.fd, done);
  });
  if (result !== 0) throw new Failure(`write '${directory}' to the disk`, "syncfs(2) failed");
}
