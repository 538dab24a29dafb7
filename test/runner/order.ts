/**
 * The order in which test files are started: the longest first, so that none of them runs alone at the end while a
 * processor has nothing to do; then what else needs a real system; the fast ones fill what is left.
 */

/** Files that take longer than a minute among the others, the longest first. */
export const longest: readonly string[] = [
  "test/farm/debian/debian.real.ts",
  "test/systemd/service.real.ts",
  "test/package/commands.real.ts",
  "test/worker/fetch.real.ts",
  "test/setup/gate.real.ts",
  "test/machines/image/image.real.ts",
  "test/farm/own-requests.real.ts",
  "test/farm/interruption.real.ts",
  "test/boss/faults.real.ts",
  "test/farm/builds.real.ts",
  "test/worker/log.real.ts",
  "test/farm/interactive.real.ts",
  "test/farm/suspended.real.ts",
  "test/boss/local.real.ts",
  "test/worker/operations.real.ts",
  "test/worker/failures.real.ts",
  "test/worker/builders.real.ts",
  "test/controller/crash.real.ts",
  "test/agent/agent.real.ts",
  "test/farm/whole.real.ts",
  "test/machines/network/bridge.real.ts",
  "test/worker/live-log.real.ts",
  "test/farm/wake-up.real.ts",
  "test/machines/commands/operator.real.ts",
  "test/setup/package.real.ts",
  "test/controller/dashboard.real.ts",
  "test/boss/matrix.real.ts",
  "test/controller/backup/backup.real.ts",
];

/** Sorts files, given by their paths from the package's root. */
export function inOrder(files: readonly string[]): string[] {
  const rank = (file: string) => {
    const place = longest.indexOf(file);
    if (place >= 0) return place;
    return longest.length + (file.endsWith(".test.ts") ? 1 : 0);
  };
  return files.toSorted((a, b) => rank(a) - rank(b));
}
