/**
 * Files that QEMU gets open from its parent, so that it runs as a user who may open none of them, in directories that are
 * closed to it.
 */
import { closeSync, constants, openSync } from "node:fs";
import { Failure, reasonOf } from "../../os/failure.ts";

/** To be disposed of once QEMU has started: image locks (OFD) last as long as anybody has the file open. */
export class InheritedFiles implements Disposable {
  /** Number of the first one in QEMU. */
  readonly #first: number;
  readonly #open: number[] = [];
  readonly #sets: { path: string; members: number[] }[] = [];

  constructor(first: number) {
    this.#first = first;
  }

  /** For spawn(), after what it has before. */
  get descriptors(): readonly number[] {
    return this.#open;
  }

  /** Number in QEMU of what comes after them. */
  get next(): number {
    return this.#first + this.#open.length;
  }

  /**
   * Opens a file.
   *
   * @param flags as those of open(2)
   * @returns its number in QEMU.
   * @throws {Failure} if it cannot be opened.
   */
  open(path: string, flags: number = constants.O_RDONLY): number {
    try {
      return this.add(openSync(path, flags));
    } catch (error) {
      throw new Failure(`open '${path}' for a machine`, reasonOf(error), { cause: error });
    }
  }

  /** Takes over a descriptor of this process; its number in QEMU. */
  add(descriptor: number): number {
    return this.#first + this.#open.push(descriptor) - 1;
  }

  /**
   * The name by which QEMU's block layer takes a file that it has open.
   *
   * It opens disks for reading first, and again for writing when something writes: each time it takes the one descriptor of
   * the set that is so.
   */
  disk(path: string, mode: "read" | "write"): string {
    const members = [this.open(path)];
    if (mode === "write") members.push(this.open(path, constants.O_RDWR));
    return `/dev/fdset/${this.#sets.push({ path, members }) - 1}`;
  }

  /** A name for a file that QEMU opens itself: by it, no directory is in the way. The file must be readable to it. */
  name(path: string, flags?: number): string {
    return `/proc/self/fd/${this.open(path, flags)}`;
  }

  /** Lets the command line tell whose machine this is. */
  mark(path: string): void {
    this.#sets.push({ path, members: [this.open("/dev/null")] });
  }

  /** Options that tell QEMU what belongs together; the paths are there for whoever looks at its command line. */
  get args(): string[] {
    return this.#sets.flatMap(({ path, members }, set) =>
      members.flatMap((fd) => ["-add-fd", `fd=${fd},set=${set},${markOf(path)}`]),
    );
  }

  /** QEMU's words with the names that people know. */
  explain(text: string): string {
    return text.replaceAll(/\/dev\/fdset\/(\d+)/g, (name, set) => this.#sets[Number(set)]?.path ?? name);
  }

  [Symbol.dispose](): void {
    for (const descriptor of this.#open.splice(0)) closeSync(descriptor);
  }
}

/** How the command line names a path. */
export function markOf(path: string): string {
  return `opaque=${escape(path)}`;
}

/** QEMU's option lists double a comma that is meant. */
export function escape(value: string): string {
  return value.replaceAll(",", ",,");
}
