import { statfs } from "node:fs/promises";

/** Bytes that the file system of a path has left for others than root. */
export async function freeBytes(path: string): Promise<number> {
  const { bsize, bavail } = await statfs(path);
  return bsize * bavail;
}
