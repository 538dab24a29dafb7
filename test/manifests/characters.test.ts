import assert from "node:assert/strict";
import { test } from "node:test";
import { readPairs } from "../../manifests/text/fast-reader.ts";
import { ManifestReader } from "../../manifests/text/reader.ts";
import {
  badByteReason,
  matchesManifestCharacters,
  refusedClass,
  replaceRefusedCharacters,
} from "../../manifests/text/characters.ts";

/** The table of manifest-format, section 1, as it stands there. */
const table: [string, string][] = [
  ["noncharacter", "FDD0-FDEF"],
  ["control", "00-1F 7F-9F"],
  [
    "format",
    "AD 600-605 61C 6DD 70F 8E2 180E 200B-200F 202A-202E 2060-2064 2066-206F FEFF FFF9-FFFB 110BD 110CD 13430-13438 " +
      "1BCA0-1BCA3 1D173-1D17A E0001 E0020-E007F",
  ],
  ["private-use", "E000-F8FF F0000-10FFFF"],
  ["reserved", "30000-E0000 E0002-E001F E0080-E00FF E01F0-EFFFF"],
];

function expected(codePoint: number): string | undefined {
  if ((codePoint & 0xfffe) === 0xfffe) return "noncharacter";
  if ([0x09, 0x0a, 0x0d].includes(codePoint)) return undefined;
  for (const [name, ranges] of parsed)
    if (ranges.some(([first, last]) => codePoint >= first && codePoint <= last)) return name;
  return undefined;
}

const parsed = table.map(([name, ranges]): [string, [number, number][]] => [
  name,
  ranges.split(" ").map((range) => {
    const [first, last = first] = range.split("-").map((digits) => parseInt(digits, 16));
    return [first!, last!];
  }),
]);

test("every code point is of the class that the table says, in all forms of the question", () => {
  for (let codePoint = 0; codePoint <= 0x10ffff; codePoint++) {
    if (codePoint >= 0xd800 && codePoint <= 0xdfff) continue;
    const wanted = expected(codePoint);
    if (refusedClass(codePoint) !== wanted)
      assert.equal(refusedClass(codePoint), wanted, codePoint.toString(16));
    const text = String.fromCodePoint(codePoint);
    const accepted = wanted === undefined;
    if (
      matchesManifestCharacters(text) !== accepted ||
      (replaceRefusedCharacters(text) === "?") === (accepted && text !== "?")
    )
      assert.fail(`U+${codePoint.toString(16)} as a string`);
  }
});

test("both readers take what the table accepts in a value, and nothing else", () => {
  const samples = parsed.flatMap(([, ranges]) =>
    ranges.flatMap(([first, last]) => [first - 1, first, last, last + 1]),
  );
  for (const codePoint of [...samples, 0xe0100, 0xe0150, 0x1fffe, 0x2ffff, 0x20000]) {
    if (codePoint < 0x20 || codePoint > 0x10ffff) continue;
    const bytes = Buffer.from(`: 1\na: x${String.fromCodePoint(codePoint)}y\n`);
    const exact = () => {
      const reader = new ManifestReader(() => {});
      reader.push(bytes);
      reader.end();
    };
    for (const read of [exact, () => readPairs(bytes)])
      if (expected(codePoint) === undefined) assert.doesNotThrow(read, codePoint.toString(16));
      else
        assert.throws(
          read,
          new RegExp(`invalid Unicode codepoint \\(${expected(codePoint)}\\)`),
          codePoint.toString(16),
        );
  }
});

test("a byte that opens no sequence is refused with its value, or with the length that it would have announced", () => {
  const reasons = [0x80, 0xc1, 0xf5, 0xf8, 0xfb, 0xfc, 0xfd, 0xfe, 0xff].map((byte) =>
    badByteReason(0, byte),
  );
  const first = (value: string) => `invalid UTF-8 sequence first byte (0x${value})`;
  const announced = [5, 5, 6, 6].map((length) => `${length}-byte length UTF-8 sequence`);
  assert.deepEqual(reasons, [...["80", "C1", "F5"].map(first), ...announced, ...["FE", "FF"].map(first)]);
});
