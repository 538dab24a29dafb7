/** What controllers have refused for good, in the spools of all instances of a host (spool.ts says what is in an entry). */
import { existsSync } from "node:fs";
import { readFile, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { attempt } from "../../os/failure.ts";
import { namesIn } from "../../os/files/directories.ts";
import { syncDirectory } from "../../os/files/durable.ts";
import type { Assignment } from "./assignment.ts";
import { entryFiles } from "./entry-files.ts";

/** An entry that is kept aside. What may be wrong with it is what it was refused for, so everything in it may be missing. */
export class RejectedEntry {
  readonly name: string;
  /** `T-I`, whose it is. */
  readonly instance: string;
  readonly directory: string;

  constructor(name: string, instance: string, directory: string) {
    this.name = name;
    this.instance = instance;
    this.directory = directory;
  }

  /** What was promised, or undefined if it is not readable. */
  async assignment(): Promise<Assignment | undefined> {
    try {
      return JSON.parse((await this.#text(entryFiles.assignment)) ?? "") as Assignment;
    } catch {
      return undefined;
    }
  }

  /** Why it is not sent any more; empty if nobody knows. */
  async answer(): Promise<string> {
    return (await this.#text(entryFiles.answer)) ?? "";
  }

  /** Whether there is a result; it may be large, and is not read for that. */
  get hasResult(): boolean {
    return existsSync(join(this.directory, entryFiles.result));
  }

  /** The result request, or undefined if there is none. */
  result(): Promise<string | undefined> {
    return this.#text(entryFiles.result);
  }

  /**
   * Gives it back to its agent, which finds it in its next round, among the first by its name.
   *
   * @throws {Failure}
   */
  async putBack(): Promise<void> {
    const spool = dirname(dirname(this.directory));
    const move = async () => {
      for (const note of [entryFiles.answer, entryFiles.tried])
        await rm(join(this.directory, note), { force: true });
      await rename(this.directory, join(spool, this.name));
      await syncDirectory(spool);
    };
    await attempt(`move '${this.directory}'`, move());
  }

  /** @throws {Failure} */
  async remove(): Promise<void> {
    await attempt(`remove '${this.directory}'`, rm(this.directory, { recursive: true, force: true }));
  }

  #text(file: string): Promise<string | undefined> {
    return readFile(join(this.directory, file), "utf8").catch(() => undefined);
  }
}

/**
 * All that is kept aside on a host, by instance, oldest first.
 *
 * @throws {Failure} if a directory is there and cannot be read.
 */
export async function rejectedEntries(spool: string): Promise<RejectedEntry[]> {
  const found: RejectedEntry[] = [];
  for (const instance of await namesIn(spool, noDirectory)) {
    const rejected = join(spool, instance, "rejected");
    for (const name of await namesIn(rejected, noDirectory))
      found.push(new RejectedEntry(name, instance, join(rejected, name)));
  }
  return found;
}

/** A spool has files beside the entries. */
const noDirectory = ["ENOENT", "ENOTDIR"];
