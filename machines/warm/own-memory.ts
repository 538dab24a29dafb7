/**
 * The saved memory of a machine, for hypervisors that run as users of their own.
 *
 * QEMU before 8.2 opens the file of a memory for writing even where it maps it privately, and so does every version without
 * an option that says otherwise. What one of them wrote there, all that map the same file would see, in every page that they
 * have not written themselves; with copies of a machine, those are builds of others, which run at the time. So each process
 * that starts machines has a clone of the saved memory of its own: a file without a name, that only the hypervisors that it
 * starts are given. The pages of it in the host's cache are shared between its tasks, one after the other. Where the
 * file system shares extents, the clone costs nothing; elsewhere, the room of the memory that is in use.
 *
 * A clone that somebody has written is thrown away: its times tell.
 */
import { closeSync, constants, fchmodSync, openSync, unlinkSync } from "node:fs";
import { attempt } from "../../os/failure.ts";
import { cloneInto } from "../../os/files/clone.ts";
import { randomTail } from "../../os/files/random-tail.ts";
import { fileIdentity } from "./state.ts";

export class OwnMemory implements Disposable {
  #clone: { of: string; descriptor: number; identity: string } | undefined;

  /**
   * A file with the saved memory that any user may open who is given it; good until the next call.
   *
   * @param ram file of the saved memory.
   * @param prefix of the name that the clone has for a moment: one that is cleared away after a crash.
   * @throws {Failure} if there is no room, for instance.
   */
  async of(ram: string, prefix: string): Promise<string> {
    const of = `${ram} ${fileIdentity(ram)}`;
    const clone = this.#clone;
    if (clone?.of !== of || fileIdentity(clone.descriptor) !== clone.identity) {
      this[Symbol.dispose]();
      const descriptor = await attempt(`clone '${ram}'`, cloneWithoutName(ram, prefix + randomTail()));
      this.#clone = { of, descriptor, identity: fileIdentity(descriptor)! };
    }
    return `/proc/${process.pid}/fd/${this.#clone!.descriptor}`;
  }

  [Symbol.dispose](): void {
    if (this.#clone) closeSync(this.#clone.descriptor);
    this.#clone = undefined;
  }
}

/** The descriptor of the clone. */
async function cloneWithoutName(file: string, name: string): Promise<number> {
  const descriptor = openSync(name, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL, 0o600);
  try {
    unlinkSync(name);
    await cloneInto(descriptor, file);
    fchmodSync(descriptor, 0o666);
    return descriptor;
  } catch (error) {
    closeSync(descriptor);
    throw error;
  }
}
