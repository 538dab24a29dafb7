/** Seeded randomness and what is made of it: the same in every run. */

export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** mulberry32: uniform below `limit`. */
  below(limit: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * limit);
  }

  pick<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)]!;
  }
}

const structure = [
  "\n",
  "\n",
  "\\",
  "\\\n",
  "\\\n",
  "\\\n\\\n",
  ":\n\\\n",
  "\n\\\n",
  "\n\\\n",
  " ",
  "\t",
  "#",
];
const starts = [
  "\na: ",
  "\na: ",
  "\nb:\\\n",
  "\nc:\n\\\n",
  "\n\\\nc: ",
  "\n:\n",
  "\n\t:\nd: ",
  "\n# ",
  "\r\ne: ",
  "\ne:",
  ":",
];
const text = ["a", "b", "1", "x y", "a: b\n", ": 1\n", "é", "€", "😀", "\u{2028}", "\u00a0", "\ufffd", "\r"];
const refused = [
  "\0",
  "\x1b",
  "\x7f",
  "\u0085",
  "\u200d",
  "\ufeff",
  "\ue000",
  "\ufffe",
  "\u{30000}",
  "\u{e0001}",
];
const bad = [0x80, 0xb0, 0xc0, 0xc3, 0xe2, 0xe0, 0xed, 0xf0, 0xf4, 0xf8, 0xfc, 0xff, 0xa0, 0x9f, 0x82].map(
  (byte) => Buffer.of(byte),
);
/** A character whose halves the lines of a value may not join again. */
const halves = [
  "c3 5c0a a9",
  "c3 5c0a 5c0a a9",
  "e2 5c0a 82ac",
  "c3 5c5c0a a9",
  "c3 0a5c0a a9",
  "c3 5c0a 5c",
].map((digits) => Buffer.from(digits.replaceAll(" ", ""), "hex"));

/** Bytes that look much like a manifest, and are one often enough. */
export function randomInput(random: Random): Buffer {
  const parts: Buffer[] = [];
  if (random.below(8) > 0) parts.push(Buffer.from(random.pick([": 1\n", ":1\n", ": 1\na:", ": 1\na: x\n"])));
  const spoilt = random.below(4);
  for (let count = random.below(24); count > 0; count--) {
    const kind = random.below(40);
    if (kind < 14) parts.push(Buffer.from(random.pick(structure)));
    else if (kind < 24) parts.push(Buffer.from(random.pick(starts)));
    else if (kind < 39 || spoilt > 0) parts.push(Buffer.from(random.pick(text)));
    else parts.push(random.pick([Buffer.from(random.pick(refused)), random.pick(bad), random.pick(halves)]));
  }
  return Buffer.concat(parts);
}

const valueParts = [
  ...["a", "word", " ", "  ", "\t", "\n", "\n\n", "\\", "\\\\", "\\\n", ";", "#", ":", ": 1", "é", "€", "😀"],
  ...["x".repeat(30), "y".repeat(80), "\u0434".repeat(50), "some words of a sentence "],
];
const nameParts = ["a", "bc", "-", "\\", "é", "#", "😀", "x".repeat(20)];

/** A sequence of pairs that may be written. */
export function randomPairs(random: Random): { name: string; value: string }[] {
  const pairs: { name: string; value: string }[] = [];
  for (let manifests = random.below(4); manifests > 0; manifests--) {
    pairs.push({ name: "", value: "1" });
    for (let count = random.below(5); count > 0; count--) {
      const name = `n${repeat(random, nameParts, 4)}`;
      pairs.push({ name, value: repeat(random, valueParts, random.pick([1, 3, 12])) });
    }
    pairs.push({ name: "", value: "" });
  }
  pairs.push({ name: "", value: "" });
  return pairs;
}

/** A value that may be written; CRs become LFs. */
export function randomValue(random: Random): string {
  return repeat(
    random,
    [...valueParts, "\r", "\r\n", "z".repeat(20), "\\".repeat(9)],
    random.pick([1, 3, 12]),
  );
}

function repeat(random: Random, parts: readonly string[], most: number): string {
  let text = "";
  for (let count = random.below(most + 1); count > 0; count--) text += random.pick(parts);
  return text;
}
