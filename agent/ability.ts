/**
 * Whether this host can build at all, looked at before anybody is asked for a task: a host that cannot would use up one
 * build after another. What every build needs: the port of its TFTP server, room for machines, uploads and results, and a
 * QEMU that starts.
 */
import { readdir, rm, statfs, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { visibleDirectories } from "../machines/layout.ts";
import { BridgeAddress } from "../machines/network/bridge.ts";
import { makeRuntimeDirectory } from "../machines/runtime-directory.ts";
import { btrfsMagic } from "../machines/open-storage.ts";
import { hostArchitecture, installQemuHint, qemuFor } from "../machines/qemu/architecture.ts";
import { programIdentity } from "../machines/qemu/program.ts";
import { launcher, machineUser } from "../machines/qemu/user.ts";
import { Failure, hasNoRoom, reasonOf } from "../os/failure.ts";
import { randomTail } from "../os/files/random-tail.ts";
import type { Log } from "../os/log.ts";
import { run } from "../os/run.ts";
import { formatBytes, MiB } from "../os/text/size.ts";
import type { Settings } from "./settings/settings.ts";
import { TftpPort } from "./tftp/port.ts";

/** What a file system must have free: so much, or so much of it if it is a small one. */
const leastRoom = { bytes: 64 * MiB, share: 0.05 };
/** For a console, a note and sockets. */
const leastRuntimeRoom = { ...leastRoom, bytes: 4 * MiB };
const leastFiles = 16;

export interface AbilityContext {
  readonly settings: Settings;
  readonly log: Log;
  readonly stop: AbortSignal;
}

export class HostAbility implements AsyncDisposable {
  /** Of the machines' servers. */
  readonly tftpPort = new TftpPort();
  readonly #bridge = new BridgeAddress();
  /** The QEMU that has been seen to start. */
  #started: string | undefined;
  /** Whether files can be made, as was tried. */
  #isTried = false;

  [Symbol.asyncDispose](): Promise<void> {
    return this.tftpPort[Symbol.asyncDispose]();
  }

  /** After a fault, everything is looked at anew. */
  forget(): void {
    this.#started = undefined;
    this.#isTried = false;
    this.#bridge.forget();
  }

  /** @throws {Failure} saying what is missing. */
  async check({ settings, log, stop }: AbilityContext): Promise<void> {
    const { network, fakeMachine, fakeBuild } = settings;
    const isUser = network.kind === "user" || fakeMachine !== undefined;
    const address = isUser ? "127.0.0.1" : await this.#bridge.of(network.bridge, stop);
    await this.tftpPort.hold(address, settings.tftpPort);
    for (const path of await places(settings)) {
      const { type } = await checkRoom(path);
      if (!this.#isTried || type === btrfsMagic) await tryFile(path);
    }
    await makeRuntimeDirectory(settings.runtime);
    await checkRoom(settings.runtime, leastRuntimeRoom);
    if (fakeMachine === undefined && !fakeBuild) await this.#checkQemu(settings, log, stop);
    this.#isTried = true;
  }

  /** Tried once for each identity of the program: an update may come at any time. */
  async #checkQemu({ qemu, machineUid, accel }: Settings, log: Log, signal: AbortSignal): Promise<void> {
    const program = qemu ?? qemuFor(hostArchitecture());
    const identity = programIdentity(program);
    if (identity === undefined)
      throw new Failure(`start '${program}'`, "there is no such program", {
        hints: [installQemuHint],
      });
    if (identity === this.#started) return;
    try {
      const argv = [...launcher(machineUser(machineUid, accel, log)), program, "--version"];
      await run(argv, { timeoutSeconds: 60, signal });
    } catch (error) {
      signal.throwIfAborted();
      throw new Failure(`start '${program}'`, reasonOf(error), { cause: error });
    }
    this.#started = identity;
  }
}

/** Where machines, their uploads, and results lie; each volume of machines may be a file system of its own. */
async function places({ spool, tftp, machines, fakeMachine }: Settings): Promise<string[]> {
  if (fakeMachine !== undefined) return [spool, tftp];
  const entries = await readdir(machines, { withFileTypes: true }).catch(() => []); // told when they are looked through
  return [spool, tftp, ...visibleDirectories(entries).map((volume) => join(machines, volume))];
}

/** @returns the kind of file system, as statfs(2) has it. */
async function checkRoom(path: string, { bytes, share } = leastRoom): Promise<{ type: number }> {
  const { type, bsize, bavail, blocks, files, ffree } = await statfs(path).catch((error: unknown) => {
    throw new Failure(`look for room at '${path}'`, reasonOf(error), { cause: error });
  });
  const hintsBy = (measure: string) => ({
    hints: [`See what takes it: du ${measure} --max-depth=2 ${dirname(path)} | sort -h`],
  });
  // Some file systems do not count files.
  if (files > 0 && ffree < leastFiles)
    throw new Failure(
      `build with '${path}'`,
      `its file system has room for only ${ffree} more files`,
      hintsBy("-x --inodes"),
    );
  const least = Math.min(bytes, blocks * bsize * share);
  if (bavail * bsize >= least) return { type };
  throw new Failure(
    `build with '${path}'`,
    `only ${formatBytes(bavail * bsize)} are free there, ${formatBytes(least)} are needed`,
    hintsBy("-xh"),
  );
}

/**
 * A file system may tell of room and have none: tried at first and after faults, and of btrfs, whose metadata may be full,
 * always.
 */
async function tryFile(path: string): Promise<void> {
  const file = join(path, `.croft-${randomTail()}`);
  try {
    await writeFile(file, Buffer.alloc(2048), { flag: "wx", mode: 0o600 });
  } catch (error) {
    if (!hasNoRoom(error)) return; // what is not for the agent to write
    throw new Failure(`build with '${path}'`, `no file can be made there: ${reasonOf(error)}`, {
      hints: ["If it is btrfs, its metadata may be full: croft doctor tells."],
    });
  } finally {
    await rm(file, { force: true }).catch(() => {});
  }
}
