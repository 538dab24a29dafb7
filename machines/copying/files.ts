/** The files of a revision that are copied: all that it has, plain files without a disk that is a part of something else. */
import { closeSync, fstatSync, openSync, readdirSync, readSync } from "node:fs";
import { join } from "node:path";
import { Failure, reasonOf } from "../../os/failure.ts";
import { headerMaxBytes, isQcow2, readQcow2Header } from "../import/qcow2-header.ts";

/** An open file. */
export interface RevisionFile extends Disposable {
  name: string;
  descriptor: number;
  bytes: number;
}

/** Whether a file of a revision may have the name. */
export function isFileName(name: string): boolean {
  return /^[A-Za-z0-9_][A-Za-z0-9_.+-]{0,99}$/.test(name);
}

/**
 * Opens all files of a revision, so that they stay the same whoever removes it.
 *
 * @param action for messages, e.g. `copy machine 'debian'`.
 * @throws {Failure} if it has something else than plain files.
 */
export function openFiles(revision: string, action: string, stack: DisposableStack): RevisionFile[] {
  try {
    return readdirSync(revision, { withFileTypes: true }).map((entry) => {
      if (!entry.isFile() || !isFileName(entry.name))
        throw new Failure(action, `'${join(revision, entry.name)}' is no plain file, and cannot be copied`);
      return stack.use(openFile(join(revision, entry.name), entry.name));
    });
  } catch (error) {
    if (error instanceof Failure) throw error;
    throw new Failure(action, reasonOf(error), { cause: error });
  }
}

function openFile(path: string, name: string): RevisionFile {
  const descriptor = openSync(path, "r");
  return {
    ...{ name, descriptor, bytes: fstatSync(descriptor).size },
    [Symbol.dispose]: () => closeSync(descriptor),
  };
}

/** Says what is wrong with a disk: its header may name any file of the host that it is on as its content. */
export function wrongDisk({
  name,
  descriptor,
  bytes,
}: Omit<RevisionFile, keyof Disposable>): string | undefined {
  if (!name.endsWith(".qcow2")) return undefined;
  const beginning = Buffer.alloc(Math.min(headerMaxBytes, bytes));
  const header = beginning.subarray(0, readSync(descriptor, beginning, 0, beginning.length, 0));
  const found = isQcow2(header)
    ? readQcow2Header(header, bytes, Number.MAX_SAFE_INTEGER)
    : { refused: "it is no qcow2 image" };
  return "refused" in found ? `its disk '${name}' cannot be used elsewhere: ${found.refused}` : undefined;
}
