/** Room on the disk: with too little of it nothing new is begun, so that what has begun can be brought to its end. */
import { statfs } from "node:fs/promises";
import { formatBytes } from "../../os/text/size.ts";

/** Guards a directory. */
export class FreeSpace {
  readonly #directory: string;
  readonly #minimumBytes: number;

  constructor(directory: string, minimumBytes: number) {
    this.#directory = directory;
    this.#minimumBytes = minimumBytes;
  }

  /** What is free for the controller's user. */
  async freeBytes(): Promise<number> {
    const { bavail, bsize } = await statfs(this.#directory);
    return bavail * bsize;
  }

  /** Why nothing new is taken, if so. */
  async reasonAgainst(): Promise<string | undefined> {
    if (this.#minimumBytes === 0) return undefined;
    const free = await this.freeBytes();
    if (free >= this.#minimumBytes) return undefined;
    return `the controller has too little room: ${formatBytes(free)} are free, and ${formatBytes(this.#minimumBytes)} are to stay free (min-free)`;
  }
}
