/**
 * What make says of files that are younger than its clock: the host's clock was set back since they were made, or they
 * are on a file server with a clock of its own. It is nothing of the target's.
 */
const messages =
  /^make(?:\[\d+\])?: (?:Warning: File .* has modification time .* in the future|warning: +Clock skew detected\..*)(?:\n|$)/gm;

/** Whether make may have taken files that have changed for older than what was built of them. */
export function tellsOfClockSkew(stderr: string): boolean {
  return withoutClockSkew(stderr) !== stderr;
}

/** The same without that. */
export function withoutClockSkew(stderr: string): string {
  return stderr.replace(messages, "");
}
