/** Lines of standard error that nobody wants to read of again. */

/** Takes out of a build's standard error what is not to count. */
export type WarningFilter = (stderr: string) => string;

/** A line of dtc. */
const deviceTree = /^.*: Warning \(.*\n?/gm;

/** U-Boot's Makefile puts these between two lines of equals signs. */
const migration = /^={8,} WARNING ={8,}\n(?:.*\n)*?={8,}\n?/gm;

/** @returns undefined if nothing is left out. */
export function warningFilter(left: { deviceTree: boolean; migration: boolean }): WarningFilter | undefined {
  const patterns = [left.deviceTree ? deviceTree : [], left.migration ? migration : []].flat();
  if (patterns.length === 0) return undefined;
  return (stderr) => patterns.reduce((text, pattern) => text.replace(pattern, ""), stderr);
}
