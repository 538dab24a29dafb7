import { lstat, readdir } from "node:fs/promises";
import { join } from "node:path";
import { isSystemError } from "../../os/failure.ts";

/** How much lies in a part of the spool. */
interface SpoolPart {
  entries: number;
  bytes: number;
}

/** `waiting`: not accepted yet (the task that is being performed among them); `rejected`: kept aside for the operator. */
export type SpoolSize = Record<"waiting" | "rejected", SpoolPart>;

/** Measured once in so many seconds at most, however often somebody asks. */
const maxAgeSeconds = 5;

/** Measures an instance's spool for those who ask again and again. */
export class SpoolMeter {
  readonly #directory: string;
  #measured: { at: number; size: Promise<SpoolSize> } | undefined;

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** @throws a system error if it cannot be read. */
  size(): Promise<SpoolSize> {
    const now = performance.now();
    if (!this.#measured || now - this.#measured.at > maxAgeSeconds * 1000)
      this.#measured = { at: now, size: measureSpool(this.#directory) };
    return this.#measured.size;
  }
}

/** Measures the spool of an instance; what disappears meanwhile counts for nothing. */
export async function measureSpool(directory: string): Promise<SpoolSize> {
  return { waiting: await measure(directory), rejected: await measure(join(directory, "rejected")) };
}

async function measure(directory: string): Promise<SpoolPart> {
  const part = { entries: 0, bytes: 0 };
  // spool.ts: entries are named by the time
  for (const name of (await namesIn(directory)).filter((entry) => /^\d{8}T/.test(entry))) {
    part.entries++;
    part.bytes += await bytesOf(join(directory, name));
  }
  return part;
}

/** How much lies at and below a path. */
export async function bytesOf(path: string): Promise<number> {
  const found = await lstat(path).catch(gone);
  if (!found) return 0;
  if (!found.isDirectory()) return found.size;
  let bytes = 0;
  for (const name of await namesIn(path)) bytes += await bytesOf(join(path, name));
  return bytes;
}

async function namesIn(path: string): Promise<string[]> {
  return (await readdir(path).catch(gone)) ?? [];
}

function gone(error: unknown): undefined {
  if (!isSystemError(error, "ENOENT", "ENOTDIR")) throw error;
}
