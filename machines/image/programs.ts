/** Programs that making a machine takes. */
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { Failure } from "../../os/failure.ts";
import { environment, isRoot } from "./work-tree.ts";

/** Programs that making an image takes, and the Debian packages that have them. */
const programs: Record<string, string> = {
  "apt-get": "apt",
  cpio: "cpio",
  depmod: "kmod",
  "dpkg-deb": "dpkg",
  "mkfs.ext4": "e2fsprogs",
  mmdebstrap: "mmdebstrap",
  setpriv: "util-linux",
  unshare: "util-linux",
  xz: "xz-utils",
};

/**
 * Checks that this host has what making a machine takes.
 *
 * @throws {Failure} that names the programs and the packages that have them.
 */
export function checkPrograms(directories?: readonly string[]): void {
  const { programs: missing, packages } = missingPrograms(directories);
  if (missing.length === 0) return;
  throw new Failure("make a machine", `this host lacks ${missing.join(", ")}`, {
    hints: [`On Debian: apt-get install ${packages.join(" ")}`],
  });
}

/** The programs that this host lacks for making machines, and the Debian packages that have them. */
export function missingPrograms(directories: readonly string[] = environment()["PATH"]!.split(delimiter)): {
  programs: string[];
  packages: string[];
} {
  const all: Record<string, string> = isRoot() ? programs : { ...programs, newuidmap: "uidmap" };
  const missing = Object.keys(all).filter(
    (program) => !directories.some((directory) => isExecutable(join(directory, program))),
  );
  return { programs: missing, packages: [...new Set(missing.map((program) => all[program]!))] };
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
