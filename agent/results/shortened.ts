/** Results for controllers that take no larger ones: the middle of long logs is left out, and what is left says so. */
import type { Result } from "../../manifests/result.ts";

/** Logs up to this length stay as they are. */
const shortChars = 1000;

/** The result with about this share of its logs, from beginning and end of each. */
export function shortened(result: Result, share: number): Result {
  const operations = result.operations.map((operation) => {
    const keptChars = Math.max(shortChars, Math.floor(operation.log.length * share));
    return operation.log.length <= keptChars
      ? operation
      : { ...operation, log: cut(operation.log, keptChars) };
  });
  return { ...result, operations };
}

/** Cuts at ends of lines, where there are any in reach, and never within a character. */
function cut(log: string, keptChars: number): string {
  const half = Math.floor(keptChars / 2);
  const before = log.slice(0, half).replace(/(?<=\n)[^\n]*$|[\ud800-\udbff]$/, "");
  const after = log.slice(-half).replace(/^[^\n]*\n(?=[^])|^[\udc00-\udfff]/, "");
  const bytes = Buffer.byteLength(log) - Buffer.byteLength(before) - Buffer.byteLength(after);
  const ending = before.endsWith("\n") ? "" : "\n";
  return `${before}${ending}[... ${bytes} bytes left out: the controller takes no larger result ...]\n${after}`;
}
