/**
 * Which bytes and code points the format accepts (manifest-format, section 1): strict UTF-8, and of the code
 * points TAB, LF, CR and the graphic ones. The table is frozen at Unicode 12, whatever the runtime knows.
 */

export const TAB = 0x09;
export const LF = 0x0a;
export const CR = 0x0d;
export const SPACE = 0x20;
export const HASH = 0x23;
export const COLON = 0x3a;
export const BACKSLASH = 0x5c;

const formatRanges: readonly (readonly [number, number])[] = [
  [0xad, 0xad],
  [0x600, 0x605],
  [0x61c, 0x61c],
  [0x6dd, 0x6dd],
  [0x70f, 0x70f],
  [0x8e2, 0x8e2],
  [0x180e, 0x180e],
  [0x200b, 0x200f],
  [0x202a, 0x202e],
  [0x2060, 0x2064],
  [0x2066, 0x206f],
  [0xfeff, 0xfeff],
  [0xfff9, 0xfffb],
  [0x110bd, 0x110bd],
  [0x110cd, 0x110cd],
  [0x13430, 0x13438],
  [0x1bca0, 0x1bca3],
  [0x1d173, 0x1d17a],
  [0xe0001, 0xe0001],
  [0xe0020, 0xe007f],
];

/** Why a code point is refused, or undefined if the format accepts it. */
export function refusedClass(codePoint: number): string | undefined {
  if ((codePoint & 0xfffe) === 0xfffe || (codePoint >= 0xfdd0 && codePoint <= 0xfdef)) return "noncharacter";
  if (codePoint < 0x20) {
    return codePoint === TAB || codePoint === LF || codePoint === CR ? undefined : "control";
  }
  if (codePoint < 0x7f) return undefined;
  if (codePoint <= 0x9f) return "control";
  for (const [first, last] of formatRanges) {
    if (codePoint < first) break;
    if (codePoint <= last) return "format";
  }
  if ((codePoint >= 0xe000 && codePoint <= 0xf8ff) || codePoint >= 0xf0000) return "private-use";
  // The variation selectors U+E0100 to U+E01EF are the one accepted block above plane 2.
  return codePoint >= 0x30000 && !(codePoint >= 0xe0100 && codePoint <= 0xe01ef) ? "reserved" : undefined;
}

/** Bytes in the sequence that a byte opens; 0 if none may start with it. */
export function sequenceLength(lead: number): number {
  if (lead < 0x80) return 1;
  if (lead < 0xc2) return 0;
  if (lead < 0xe0) return 2;
  if (lead < 0xf0) return 3;
  return lead < 0xf5 ? 4 : 0;
}

/** True if a byte may stand at this index (1 to 3) of the sequence opened by `lead`: shortest form, no surrogates. */
export function mayContinue(lead: number, index: number, byte: number): boolean {
  if (index > 1) return byte >= 0x80 && byte <= 0xbf;
  const low = lead === 0xe0 ? 0xa0 : lead === 0xf0 ? 0x90 : 0x80;
  const high = lead === 0xed ? 0x9f : lead === 0xf4 ? 0x8f : 0xbf;
  return byte >= low && byte <= high;
}

/** The reason for refusing a byte at this index (0 to 3) of a sequence. */
export function badByteReason(index: number, byte: number): string {
  if (index === 0 && byte >= 0xf8 && byte <= 0xfd) return `${byte < 0xfc ? 5 : 6}-byte length UTF-8 sequence`;
  const hexadecimal = byte.toString(16).toUpperCase().padStart(2, "0");
  const printable = byte >= 0x20 && byte < 0x7f ? ` '${String.fromCharCode(byte)}'` : "";
  const which = ["first", "second", "third", "forth"][index];
  return `invalid UTF-8 sequence ${which} byte (0x${hexadecimal}${printable})`;
}

/** The code point of a complete, well-formed sequence. */
export function codePointAt(bytes: Uint8Array, at: number, length: number): number {
  const lead = bytes[at]!;
  if (length === 1) return lead;
  let codePoint = lead & (0x7f >> length);
  for (let index = 1; index < length; index++) codePoint = (codePoint << 6) | (bytes[at + index]! & 0x3f);
  return codePoint;
}

/**
 * Checks the code point that starts at `at` and must end before `end`.
 *
 * @returns its length in bytes, or a refusal: the reason, and how many bytes belong to the bad sequence (the
 * maximal part that could have been one).
 */
export function checkCodePoint(
  bytes: Uint8Array,
  at: number,
  end: number,
): number | { reason: string; length: number } {
  const lead = bytes[at]!;
  const length = sequenceLength(lead);
  if (length === 0) return { reason: badByteReason(0, lead), length: 1 };
  for (let index = 1; index < length; index++) {
    if (at + index >= end) return { reason: "incomplete UTF-8 sequence", length: index };
    const byte = bytes[at + index]!;
    if (!mayContinue(lead, index, byte)) return { reason: badByteReason(index, byte), length: index };
  }
  const refused = refusedClass(codePointAt(bytes, at, length));
  return refused === undefined ? length : { reason: badCodePointReason(refused), length };
}

/** The reason for refusing a code point of this class. */
export function badCodePointReason(refused: string): string {
  return `invalid Unicode codepoint (${refused})`;
}

/** Everything the format refuses in well-formed text; a surrogate on its own is refused, too. */
const refusedCharacters = new RegExp(
  `[\\0-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f-\\x9f${formatRanges.map(([first, last]) => `${escaped(first)}-${escaped(last)}`).join("")}` +
    "\\ud800-\\udfff\\ue000-\\uf8ff\\ufdd0-\\ufdef\\ufffe\\uffff" +
    "\\u{1fffe}\\u{1ffff}\\u{2fffe}-\\u{e00ff}\\u{e01f0}-\\u{10ffff}]",
  "gu",
);

function escaped(codePoint: number): string {
  return `\\u{${codePoint.toString(16)}}`;
}

/** True if the format accepts every character of a text, or of bytes taken as UTF-8. */
export function matchesManifestCharacters(text: string | Uint8Array): boolean {
  if (typeof text === "string") return text.search(refusedCharacters) < 0;
  for (let at = 0; at < text.length;) {
    const length = checkCodePoint(text, at, text.length);
    if (typeof length !== "number") return false;
    at += length;
  }
  return true;
}

/**
 * Replaces every character (in bytes also: every maximal part of a bad UTF-8 sequence) that the format refuses.
 *
 * @param replacement of one byte for bytes.
 */
export function replaceRefusedCharacters<T extends string | Uint8Array>(text: T, replacement = "?"): T {
  if (typeof text === "string") return text.replace(refusedCharacters, replacement) as T;
  const bytes = Uint8Array.from(text);
  return bytes.subarray(0, replaceRefusedBytes(bytes, 0, bytes.length, 0, replacement.charCodeAt(0))) as T;
}

/**
 * Copies bytes down to `target` (at most `start`) in the same array, replacing what the format refuses.
 *
 * @returns where the copy ends.
 */
export function replaceRefusedBytes(
  bytes: Uint8Array,
  start: number,
  end: number,
  target: number,
  replacement: number,
): number {
  for (let at = start; at < end;) {
    const checked = checkCodePoint(bytes, at, end);
    if (typeof checked === "number") {
      for (let index = 0; index < checked; index++) bytes[target++] = bytes[at + index]!;
      at += checked;
    } else {
      bytes[target++] = replacement;
      at += checked.length;
    }
  }
  return target;
}
