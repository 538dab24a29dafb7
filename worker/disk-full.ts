/** How a full disk shows in what programs say: the worker says it so, the boss looks for it. */

/** What a worker adds where git only tells that it could not write. */
export const diskFullText = "No space left on device";

/** What programs, git and Node.js say of it: at the end of a line, where no compiler quotes a source that has it. */
const diskFull = new RegExp(
  `(?:^|[:(] ?)'?(?:${diskFullText}|disk quota exceeded|out of diskspace)'?[.)\\s]*$|\\bENOSPC: ${diskFullText},`,
  "im",
);

/** Whether what programs say, line by line, tells that a disk is full. */
export function isDiskFull(text: string): boolean {
  return diskFull.test(text);
}
