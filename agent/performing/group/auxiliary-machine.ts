/** The machines of a group, besides the one that builds: who they are, and where each has its files. */
import { dirname, join } from "node:path";
import type { MachinePaths } from "../../../machines/layout.ts";
import type { MachineLock } from "../../../machines/locks.ts";
import type { BootstrappedMachine } from "../../../manifests/bootstrapped-machine.ts";
import type { Settings } from "../../settings/settings.ts";
import { auxiliaryOffset } from "../../settings/auxiliary.ts";
import type { Directories } from "../../settings/directories.ts";
import { auxiliaryRuntime } from "../../../machines/runtime-directory.ts";

/** A machine that this process has locked for a task of another one. */
export interface AuxiliaryMachine {
  /** What the task calls it: what follows `auxiliary-machine-`; empty for the bare name. */
  name: string;
  paths: MachinePaths;
  bootstrapped: BootstrappedMachine;
  ramKiB: number;
  lock: Pick<MachineLock, "truncate"> & Disposable;
}

/** Its name for people. */
export function titleOf({ name, paths }: Pick<AuxiliaryMachine, "name" | "paths">): string {
  return name === "" ? `'${paths.name}'` : `'${name}' (${paths.name})`;
}

/** What the agent runs with, as an auxiliary machine of it sees that: everything that tells machines of a host apart is its own. */
export function settingsOfMember(settings: Settings, number: number, ramKiB: number): Settings {
  const offset = auxiliaryOffset(settings.offset, number);
  return {
    ...settings,
    ...{ offset, ramKiB, tftpPort: 0, runtime: auxiliaryRuntime(settings.runtime, number) },
    machineUid: settings.machineUid === 0 ? 0 : settings.machineUid - settings.offset + offset,
  };
}

/** Where an auxiliary machine reads and writes. */
export function directoriesOfMember({ get }: Pick<Directories, "get">, number: number) {
  const home = join(dirname(get), `auxiliary-${number}`);
  return { home, readable: join(home, "get"), writable: join(home, "put") };
}
