import { open, readdir } from "node:fs/promises";
import { join } from "node:path";
import { syncDirectory } from "../os/files/durable.ts";
import { Failure, reasonOf } from "../os/failure.ts";

/** Writes all files of a tree, and its directories, to the disk. */
export async function syncTree(path: string): Promise<void> {
  try {
    for (const entry of await readdir(path, { withFileTypes: true })) {
      const inner = join(path, entry.name);
      if (entry.isDirectory()) await syncTree(inner);
      else if (entry.isFile()) await syncFile(inner);
    }
    await syncDirectory(path);
  } catch (error) {
    if (error instanceof Failure) throw error;
    throw new Failure(`write '${path}' to the disk`, reasonOf(error), { cause: error });
  }
}

async function syncFile(path: string): Promise<void> {
  const file = await open(path, "r");
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}
