/**
 * The end of a piece of text that can be written by itself: near `wanted`, at most three characters behind it.
 *
 * A line break stays whole, so does a character of two units, and a line's end stays with the line: how its last
 * character is written depends on it.
 */
export function cutNear(text: string, wanted: number): number {
  let at = wanted;
  while (at < text.length && !isSafe(text.charCodeAt(at - 1), text.charCodeAt(at))) at++;
  return Math.min(at, text.length);
}

const [LF, CR] = [0x0a, 0x0d];

function isSafe(before: number, behind: number): boolean {
  if (before === LF) return true;
  if (behind === LF || behind === CR) return before === CR && behind === CR;
  return before < 0xd800 || before > 0xdbff;
}
