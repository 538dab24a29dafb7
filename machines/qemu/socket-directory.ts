import { chownSync, constants, copyFileSync } from "node:fs";
import { chown, lstat, mkdir, rename, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { attempt, Failure } from "../../os/failure.ts";
import type { MachineUser } from "../virtual-machine.ts";
import type { InheritedFiles } from "./inherited-files.ts";
import type { StateSocket } from "./memory.ts";
import { operatorSocket, screenSocket, socketDirectoryName, socketPath } from "./runtime-files.ts";

/**
 * A directory of QEMU's user, the only one where it can make something: its sockets, which are moved to the runtime
 * directory, where nobody but the agent's user gets at them.
 *
 * QEMU enters it by a descriptor: the directories above are closed to it.
 */
export class SocketDirectory {
  readonly #runtimeDirectory: string;
  readonly #path: string;
  readonly #user: MachineUser | undefined;
  /** What QEMU calls it. */
  readonly #name: string;

  private constructor(runtimeDirectory: string, user: MachineUser | undefined, files: InheritedFiles) {
    this.#runtimeDirectory = runtimeDirectory;
    this.#path = join(runtimeDirectory, socketDirectoryName);
    this.#user = user;
    this.#name = files.name(this.#path, constants.O_RDONLY | constants.O_DIRECTORY);
  }

  /** @throws {Failure} if it cannot be made. */
  static async make(
    runtimeDirectory: string,
    user: MachineUser | undefined,
    files: InheritedFiles,
  ): Promise<SocketDirectory> {
    const path = join(runtimeDirectory, socketDirectoryName);
    const make = mkdir(path, { mode: 0o700 }).then(() => (user ? chown(path, user.id, user.id) : undefined));
    await attempt(`make the directory '${path}'`, make);
    return new SocketDirectory(runtimeDirectory, user, files);
  }

  /** QEMU's name for the operators' QMP socket; undefined if nobody could reach it. */
  get operator(): string | undefined {
    return this.#nameOf(operatorSocket(this.#runtimeDirectory));
  }

  /** QEMU's name for the VNC socket of a suspended machine; undefined if nobody could reach it. */
  get screen(): string | undefined {
    return this.#nameOf(screenSocket(this.#runtimeDirectory));
  }

  /** Where the state of a machine that is saved goes through: a socket of ours, in QEMU's directory. */
  get state(): StateSocket | undefined {
    const path = socketPath(this.#path, "state.sock");
    return path === undefined ? undefined : { path, name: `${this.#name}/state.sock` };
  }

  #nameOf(socket: string | undefined): string | undefined {
    return socket === undefined ? undefined : `${this.#name}/${basename(socket)}`;
  }

  /**
   * Moves a socket that QEMU has made to its place.
   *
   * @throws {Failure} if there is none.
   */
  async moveOut(socket: string): Promise<void> {
    await attempt(`move the socket '${socket}'`, rename(join(this.#path, basename(socket)), socket));
    if ((await lstat(socket)).isSocket()) return;
    await rm(socket, { force: true }); // a link leads wherever it likes
    throw new Failure(`use '${socket}'`, "QEMU has made something else than a socket");
  }

  /** Makes a copy of a file that QEMU's user can read; it goes with the directory. */
  copyOf(file: string): string {
    const copy = join(this.#path, basename(file));
    copyFileSync(file, copy, constants.COPYFILE_FICLONE);
    if (this.#user) chownSync(copy, this.#user.id, this.#user.id);
    return copy;
  }
}
