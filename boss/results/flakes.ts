/**
 * Failures that are likely to be chance: a target has failed at a commit and was built at a later one, though no error of
 * the source says what was mended, and no other target has failed and recovered with it. What fails for the source,
 * fails again, and is mended for all that it broke.
 */

/** A target that has failed, and later was built. */
export interface Recovery {
  target: string;
  message: string;
  /** Positions of the commits at which it first failed, and first was built again. */
  from: number;
  to: number;
}

/** A compiler, assembler or linker that complains of the source. */
const ofSource =
  /^\S+:\d+(?::\d+)?: (?:fatal )?error:|: Error: |undefined reference to|multiple definition of|No rule to make target/i;
/** It may be there in a moment: what should have made it was not waited for. */
const ofTiming = /No such file or directory|file truncated|file format not recognized/i;

/** Those that are likely flakes. */
export function likelyFlakes(recoveries: readonly Recovery[]): Recovery[] {
  const together = Map.groupBy(recoveries, ({ from, to, message }) => `${from} ${to} ${message}`);
  return [...together.values()].flatMap((same) => (same.length === 1 && isChance(same[0]!) ? same : []));
}

function isChance({ message }: Recovery): boolean {
  return ofTiming.test(message) || !ofSource.test(message);
}
