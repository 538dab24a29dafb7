/** Programs that read what a stranger has made: as a user without rights, and bounded in all that they take. */
import { Failure } from "../../os/failure.ts";
import { run, type RunOptions, type RunResult } from "../../os/run.ts";
import { launcher, lookForUser } from "../qemu/user.ts";
import type { MachineUser } from "../virtual-machine.ts";

/** What a program may take of memory; those used here take a tenth of it for the largest images. */
const memoryBytes = 4 * 1024 ** 3;

/**
 * The user for what works on an image; undefined without root: then it is the caller's own.
 *
 * @throws {Failure} as root, if this host has no such user.
 */
export function imageUser(number: number, accel: string): MachineUser | undefined {
  const found = lookForUser(number, accel);
  if ("user" in found) return found.user;
  throw new Failure("import an image", found.obstacle, {
    hints: ["Say with --uid which user, nobody else's, is to read it: its content is a stranger's."],
  });
}

/**
 * Runs a program on an image.
 *
 * @param options.maxBytes how much it may write into a file.
 * @throws {ProgramFailure}
 */
export function runUnprivileged(
  argv: readonly string[],
  { user, maxBytes, ...options }: RunOptions & { user: MachineUser | undefined; maxBytes: number },
): Promise<RunResult> {
  const limits = ["prlimit", `--fsize=${maxBytes}`, `--as=${memoryBytes}`, "--core=0", "--"];
  return run([...launcher(user), ...limits, ...argv], {
    env: { PATH: process.env["PATH"], LC_ALL: "C" },
    ...options,
  });
}
