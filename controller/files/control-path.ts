/** Where the socket for commands of the administrator lies (control.ts). */
import { closeSync, openSync } from "node:fs";

export const socketName = "control.sock";

/** The data directory of who names none, in the working directory. */
export const defaultData = "croft-data";

/** A path to the socket that is short enough for the kernel, however long that of the directory is. */
export interface ControlPath extends Disposable {
  readonly path: string;
}

/** @throws a system error if the directory is not there or closed. */
export function controlPath(data: string, name = socketName): ControlPath {
  const directory = openSync(data, "r");
  return {
    path: `/proc/self/fd/${directory}/${name}`,
    [Symbol.dispose]: () => closeSync(directory),
  };
}
