import { readPositionedPairs, type Pair } from "./reader.ts";

/**
 * Reads a whole stream.
 *
 * @throws {ManifestError}
 */
export function readPairs(bytes: Uint8Array, source?: string): Pair[] {
  return readPositionedPairs(bytes, source);
}
