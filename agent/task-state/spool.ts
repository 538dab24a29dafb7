/**
 * What an instance owes its controllers, on disk, so that no result is lost whenever the agent or the host dies:
 *
 *     <spool>/<T>-<I>/
 *       <entry>/assignment.json   what was promised: session, URLs, task; written before the machine starts
 *       <entry>/uploads/<type>/…  artifacts not yet accepted
 *       <entry>/tried.json        for how long it has been sent in vain (results/tried.ts)
 *       <entry>/recovery          how often an agent died of looking at its uploads, as the size of the file
 *       <entry>/sent              how many artifacts its controller has taken, as the size of the file
 *       <entry>/result.manifest   the complete result request; appears by rename, when the task is decided
 *       rejected/<entry>/         refused by the controller for good (or unreadable), with the answer; the newest
 *
 * An entry without a result is a task that runs, or one whose agent died: then the successor reports it. An entry
 * is removed only after a 2xx answer to its result; every step may be repeated, controllers accept a result twice.
 */
import { mkdir, open, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { makeDirectoryDurably, syncDirectory, writeDurably } from "../../os/files/durable.ts";
import { closeDirectory } from "../../os/files/private.ts";
import { randomTail } from "../../os/files/random-tail.ts";
import { attempt, Failure, isSystemError, reasonOf } from "../../os/failure.ts";
import type { Assignment } from "./assignment.ts";
import { entryFiles } from "./entry-files.ts";
import { bytesOf } from "./spool-size.ts";

export class SpoolEntry {
  readonly name: string;
  readonly directory: string;
  readonly assignment: Assignment;

  constructor(name: string, directory: string, assignment: Assignment) {
    this.name = name;
    this.directory = directory;
    this.assignment = assignment;
  }

  /** Where artifacts wait, by type. */
  get uploads(): string {
    return join(this.directory, "uploads");
  }

  get #resultFile(): string {
    return join(this.directory, entryFiles.result);
  }

  /** The result request, or undefined while the task is not decided. */
  async result(): Promise<Buffer | undefined> {
    return readFile(this.#resultFile).catch(absent);
  }

  /** Whether there is a result. */
  async isDecided(): Promise<boolean> {
    return (await stat(this.#resultFile).catch(absent)) !== undefined;
  }

  /** Decides the task: from here on the result survives everything but the disk. */
  setResult(request: Uint8Array | Iterable<Uint8Array>): Promise<void> {
    return writeDurably(this.#resultFile, request);
  }

  /** Forgets the entry: its result was accepted. */
  async remove(): Promise<void> {
    // The assignment goes first: what remains of a half-removed entry must not look like a task without a result.
    const removal = async () => {
      await rm(join(this.directory, entryFiles.assignment), { force: true });
      await syncDirectory(this.directory);
      await rm(this.directory, { recursive: true, force: true });
    };
    await attempt(`remove '${this.directory}'`, removal());
  }

  /** Keeps the entry aside, with the reason why it is not sent any more. */
  reject(answer: string): Promise<void> {
    return putAside(this.directory, answer);
  }

  /**
   * So many agents have ended while they looked at the uploads of a crashed agent's task (`recovery`).
   */
  async deadlyLooks(): Promise<number> {
    return await this.#noted(entryFiles.looks);
  }

  /** Notes that number. */
  async noteDeadlyLooks(count: number): Promise<void> {
    await this.#note(entryFiles.looks, count);
  }

  /** So many artifacts its controller has taken, or more: none is counted twice. */
  async sentArtifacts(): Promise<number> {
    return await this.#noted(entryFiles.sent);
  }

  /** Notes that number. */
  async noteSentArtifacts(count: number): Promise<void> {
    await this.#note(entryFiles.sent, count);
  }

  async #noted(name: string): Promise<number> {
    return (await stat(join(this.directory, name)).then(({ size }) => size, absent)) ?? 0;
  }

  /** The size of the file is the note, so that it can be taken back on a full disk. */
  async #note(name: string, count: number): Promise<void> {
    const path = join(this.directory, name);
    const write = async () => {
      await using file = await open(path, "a", 0o600);
      await file.truncate(count);
      await file.sync();
      await syncDirectory(this.directory);
    };
    await attempt(`write '${path}'`, write());
  }
}

/** So much is kept of what was refused: for the operator, not for ever. */
const rejectedMax = { entries: 100, bytes: 1024 ** 3 };

export class Spool {
  readonly directory: string;

  private constructor(directory: string) {
    this.directory = directory;
  }

  /**
   * An existing directory that is open to other users is closed: a task's URLs stand in it, and its signed result.
   *
   * @throws {Failure} if the directory cannot be made, or is another user's.
   */
  static async open(directory: string): Promise<Spool> {
    try {
      await makeDirectoryDurably(directory, 0o700);
      await closeDirectory(directory);
    } catch (error) {
      if (error instanceof Failure) throw error;
      throw new Failure(`make the spool '${directory}'`, reasonOf(error), { cause: error });
    }
    return new Spool(directory);
  }

  /** Writes down what was promised, before anything is done for it. */
  async begin(assignment: Assignment): Promise<SpoolEntry> {
    const name = `${new Date().toISOString().replace(/[-:.]/g, "")}-${randomTail()}`;
    const directory = join(this.directory, name);
    try {
      await mkdir(directory, { mode: 0o700 });
      await writeDurably(join(directory, entryFiles.assignment), JSON.stringify(assignment));
      await syncDirectory(this.directory);
    } catch (error) {
      throw new Failure(`write down the task in '${directory}'`, reasonOf(error), { cause: error });
    }
    return new SpoolEntry(name, directory, assignment);
  }

  /** All entries, oldest first; leftovers of half-written or half-removed ones are cleared away. */
  async entries(): Promise<SpoolEntry[]> {
    const found: SpoolEntry[] = [];
    for (const name of (
      await attempt(`read the spool '${this.directory}'`, readdir(this.directory))
    ).sort()) {
      if (!/^\d{8}T/.test(name)) continue;
      const directory = join(this.directory, name);
      const text = await readFile(join(directory, entryFiles.assignment), "utf8").catch(absent);
      const assignment = text === undefined ? undefined : parse(text);
      if (text === undefined)
        await attempt(`remove '${directory}'`, rm(directory, { recursive: true, force: true }));
      else if (assignment === undefined) await putAside(directory, "its assignment is not readable\n");
      else found.push(new SpoolEntry(name, directory, assignment));
    }
    return found;
  }

  /**
   * Removes the oldest of what was kept aside, so that it stays within bounds; the newest stays however large it is.
   *
   * @returns the names of those that are gone.
   */
  async boundRejected(bounds = rejectedMax): Promise<string[]> {
    const rejected = join(this.directory, "rejected");
    const gone: string[] = [];
    let [entries, bytes] = [0, 0];
    for (const name of (await attempt(`read '${rejected}'`, readdir(rejected))).sort().reverse()) {
      const path = join(rejected, name);
      entries++;
      bytes += await bytesOf(path);
      if (entries === 1 || (entries <= bounds.entries && bytes <= bounds.bytes)) continue;
      await attempt(`remove '${path}'`, rm(path, { recursive: true, force: true }));
      gone.push(name);
    }
    return gone;
  }
}

async function putAside(directory: string, answer: string): Promise<void> {
  await writeDurably(join(directory, entryFiles.answer), answer);
  const rejected = join(dirname(directory), "rejected");
  const move = makeDirectoryDurably(rejected)
    .then(() => rename(directory, join(rejected, basename(directory))))
    .then(() => syncDirectory(rejected));
  await attempt(`keep '${directory}' aside`, move);
}

function parse(text: string): Assignment | undefined {
  try {
    return JSON.parse(text) as Assignment;
  } catch {
    return undefined;
  }
}

function absent(error: unknown): undefined {
  if (isSystemError(error, "ENOENT")) return undefined;
  throw new Failure("read the spool", reasonOf(error), { cause: error });
}
