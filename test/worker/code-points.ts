/** Text with each kind of byte sequence that the manifest format refuses, and what a log makes of it. */

/** Refused by the format, besides control characters: first and last code point of each range. */
const refused: readonly (readonly [number, number])[] = [
  [0x80, 0x9f],
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
  [0xe000, 0xf8ff],
  [0xfdd0, 0xfdef],
  [0xfeff, 0xfeff],
  [0xfff9, 0xfffb],
  [0xfffe, 0xffff],
  [0x110bd, 0x110bd],
  [0x110cd, 0x110cd],
  [0x13430, 0x13438],
  [0x1bca0, 0x1bca3],
  [0x1d173, 0x1d17a],
  [0x1fffe, 0x1ffff],
  [0x2fffe, 0xe00ff],
  [0xe01f0, 0x10ffff],
];

/** Byte sequences that are no UTF-8, each with the question marks it becomes. */
const broken: readonly (readonly [readonly number[], string])[] = [
  [[0x80], "?"],
  [[0xff], "?"],
  [[0xc0, 0x80], "??"], // not the shortest form
  [[0xc3], "?"], // cut
  [[0xe2, 0x82], "??"],
  [[0xe0, 0x80, 0x80], "???"],
  [[0xed, 0xa0, 0x80], "???"], // surrogate
  [[0xf0, 0x80, 0x80, 0x80], "????"],
  [[0xf4, 0x90, 0x80, 0x80], "????"], // above U+10FFFF
  [[0xf8, 0x88, 0x80, 0x80, 0x80], "?????"],
  [[0xc3, 0x28], "?("],
];

/** One line for each case; the neighbours of each range are kept. */
export function decodeText(): { input: Buffer; expected: string } {
  const input: Buffer[] = [];
  const expected: string[] = [];
  const add = (bytes: Uint8Array, text: string) => {
    input.push(Buffer.from("<"), Buffer.from(bytes), Buffer.from(">\n"));
    expected.push(`<${text}>`);
  };
  for (let byte = 0; byte < 0x80; byte++) {
    if ([0x08, 0x0a, 0x0d, 0x1b].includes(byte)) continue; // these have a meaning
    const kept = byte === 0x09 || (byte >= 0x20 && byte < 0x7f);
    add(Buffer.of(byte), kept ? String.fromCharCode(byte) : "?");
  }
  const isRefused = (point: number) => refused.some(([first, last]) => point >= first && point <= last);
  for (const [first, last] of refused)
    for (const point of [first - 1, first, (first + last) >> 1, last, last + 1]) {
      if (point > 0x10ffff || point < 0x80 || (point >= 0xd800 && point <= 0xdfff)) continue;
      const character = String.fromCodePoint(point);
      add(Buffer.from(character), isRefused(point) ? "?" : character);
    }
  for (const [bytes, text] of broken) add(Buffer.from(bytes), text);
  return { input: Buffer.concat(input), expected: expected.join("\n") };
}
