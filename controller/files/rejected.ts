/**
 * Results that could not be read stay for a look, the newest few. Each session has one file at most, of a bounded size,
 * so that nobody can push out what others left.
 */
import { readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { writeDurably } from "../../os/files/durable.ts";
import type { DataDirectory } from "./data-directory.ts";

const filesKept = 16;
/** Longer ones are cut off: the answer to the agent says where the error is, and the agent keeps all of it. */
const longestBytes = 16 << 20;

/**
 * Keeps a result.
 *
 * @returns the file.
 */
export async function keepRejected(
  { rejected }: DataDirectory,
  session: { build: number; attempt: number },
  body: Uint8Array,
): Promise<string> {
  const file = join(rejected, `build-${session.build}-attempt-${session.attempt}.manifest`);
  await writeDurably(file, body.subarray(0, longestBytes));
  const files = await Promise.all(
    (await readdir(rejected)).map(async (name) => {
      const path = join(rejected, name);
      return { path, changedMs: (await stat(path).catch(() => undefined))?.mtimeMs ?? 0 };
    }),
  );
  files.sort((one, other) => other.changedMs - one.changedMs);
  for (const { path } of files.slice(filesKept)) await rm(path, { force: true });
  return file;
}
