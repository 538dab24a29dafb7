import { utimes } from "node:fs/promises";
import { relative, resolve } from "node:path";

/** A compiler's message begins with a file and a line: `../cmd/version.c:20:26: error: …`. */
const place = /^(?:In file included from |\s+from )?([^\s:'"`()]+):\d+/gm;

const mostFiles = 5000;

/** The files that compilers complained about. */
export function namedFiles(stderr: string): string[] {
  const names = new Set(Array.from(stderr.matchAll(place), (match) => match[1]!));
  return [...names].slice(0, mostFiles);
}

/**
 * Makes the files that compilers complained about look changed, so that the next incremental build compiles them
 * again: warnings of code that has not changed would else be missing from its output, and seem to have been fixed.
 *
 * @param directories where compilers may have run: names are relative to one of them.
 */
export async function touchNamedFiles(stderr: string, root: string, directories: readonly string[]) {
  const now = new Date();
  for (const name of namedFiles(stderr))
    for (const path of new Set(directories.map((directory) => resolve(directory, name)))) {
      if (relative(root, path).startsWith("..")) continue; // a header of the system
      await utimes(path, now, now).catch(() => {}); // it may be gone, or was never a file
    }
}

/**
 * What make says of files that are younger than its clock: the host's clock was set back since they were made, or they
 * are on a file server with a clock of its own. It is nothing of the target's.
 */
const clockSkew =
  /^make(?:\[\d+\])?: (?:Warning: File .* has modification time .* in the future|warning: +Clock skew detected\..*)(?:\n|$)/gm;

/** Whether make may have taken files that have changed for older than what was built of them. */
export function tellsOfClockSkew(stderr: string): boolean {
  return withoutClockSkew(stderr) !== stderr;
}

/** The same without that. */
export function withoutClockSkew(stderr: string): string {
  return stderr.replace(clockSkew, "");
}
