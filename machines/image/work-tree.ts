/** The tree that packages are unpacked in, and who works on it: processes in namespaces of their own. */
import { join, resolve } from "node:path";
import { run } from "../../os/run.ts";

/** In the directory of the revision: /tmp may be too small, or in memory. */
export function workIn(output: string): string {
  return join(resolve(output), ".work");
}

/** Removes the tree of createImage() from a directory, also the one of a run that was killed. */
export async function removeWork(output: string): Promise<void> {
  // In a namespace as it was made in: without root, most of the tree belongs to subordinate ids.
  await run([...namespace(), "rm", "-rf", "--one-file-system", workIn(output)], {
    timeoutSeconds: 600,
    env: environment(),
  });
}

/**
 * Mounts of the tree (`/proc`, `/dev`…) vanish with the namespace's processes, whatever happens, so that clearing away
 * can never walk into one; and all of it ends with this process.
 */
export function namespace(): string[] {
  return [
    ...["setpriv", "--pdeathsig", "KILL", "--", "unshare"],
    ...(isRoot() ? [] : ["--user", "--map-root-user", "--map-auto"]),
    ...["--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--mount-proc", "--"],
  ];
}

export function isRoot(): boolean {
  return process.geteuid?.() === 0;
}

/**
 * With the directories of system programs first, which a user's PATH may lack: what mmdebstrap calls is Debian's, and a
 * Python of the user's would take part in every package.
 */
export function environment(): NodeJS.ProcessEnv {
  return { ...process.env, PATH: `/usr/sbin:/usr/bin:/sbin:/bin:${process.env["PATH"] ?? ""}`, LC_ALL: "C" };
}
