import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ManifestWriteError } from "../../manifests/error.ts";
import { ManifestWriter, writePairs } from "../../manifests/text/writer.ts";
import { writePairPlainly } from "./plain-writer.ts";
import { Random, randomPairs, randomValue } from "./random.ts";

function written(pairs: [string | Uint8Array, string | Uint8Array][], longLines = false): string {
  const writer = new ManifestWriter({ longLines });
  for (const [name, value] of pairs) writer.pair(name, value);
  return Buffer.from(writer.take()).toString("utf8");
}

describe("writing", () => {
  test("a value in pieces becomes the same bytes, wherever it is cut", () => {
    const random = new Random(7);
    const odd = ["\r\n", "\r\r\n", "\\\n", "\\\r", "\\\\", "\u{1f600}", " \n\n", "a", "\t"];
    for (let round = 0; round < 20_000; round++) {
      const name = `n${"x".repeat(random.below(45))}`;
      const value =
        random.below(2) === 0
          ? randomValue(random)
          : Array.from({ length: random.below(9) }, () => odd[random.below(odd.length)]).join("");
      const writer = new ManifestWriter({ longLines: true });
      writer.pair("", "1");
      const parts: Uint8Array[] = [];
      for (const _ of writer.pieces(name, value, 1 + random.below(5))) parts.push(writer.take());
      const whole = written([["", "1"], [name, value]], true); // prettier-ignore
      assert.equal(Buffer.concat([...parts, writer.take()]).toString(), whole, JSON.stringify([name, value]));
      assert.ok(parts.every(({ length }) => length <= 100));
    }
  });

  test("breaks and escapes lines as the rules say, for text and for bytes", () => {
    const random = new Random(5);
    for (let round = 0; round < 20_000; round++) {
      const [name, value] = [`n${"x".repeat(random.below(45))}`, randomValue(random)];
      const longLines = random.below(3) === 0;
      const expected = `: 1\n${writePairPlainly(name, value, longLines)}`;
      const shown = JSON.stringify([name, value]);
      assert.equal(
        written(
          [
            ["", "1"],
            [name, value],
          ],
          longLines,
        ),
        expected,
        shown,
      );
      const bytes = Buffer.from(value);
      // At every alignment: the value is looked through in words.
      const shifted = new Uint8Array(bytes.length + 4).subarray(random.below(4)).subarray(0, bytes.length);
      shifted.set(bytes);
      assert.equal(
        written(
          [
            ["", "1"],
            [name, shifted],
          ],
          longLines,
        ),
        expected,
        shown,
      );
    }
  });

  test("a name known from before is written as it was the first time", () => {
    const random = new Random(6);
    for (let round = 0; round < 500; round++) {
      const values = Array.from({ length: 20 }, () => randomValue(random).slice(0, random.below(90)));
      const pairs = values
        .filter((value) => value.isWellFormed())
        .map((value): [string, string] => ["name", value]);
      const expected = pairs.map(([name, value]) => writePairPlainly(name, value, false)).join("");
      assert.equal(written([["", "1"], ...pairs]), `: 1\n${expected}`);
    }
  });

  test("in pieces is the same as at once", () => {
    const random = new Random(7);
    for (let round = 0; round < 500; round++) {
      const pairs = randomPairs(random);
      const writer = new ManifestWriter();
      const pieces: Uint8Array[] = [];
      for (const { name, value } of pairs) {
        writer.pair(name, value);
        if (random.below(2) === 0) pieces.push(writer.take());
      }
      pieces.push(writer.take());
      assert.deepEqual(Buffer.concat(pieces), Buffer.from(writePairs(pairs)));
    }
  });

  test("a lone surrogate is refused like the bytes it would have", () => {
    assert.throws(
      () =>
        written([
          ["", "1"],
          ["a", "x\ud800y"],
        ]),
      new ManifestWriteError("invalid value: invalid UTF-8 sequence second byte (0xA0)"),
    );
  });

  test("a refused pair leaves nothing behind", () => {
    const writer = new ManifestWriter();
    writer.pair("", "1");
    assert.throws(() => writer.pair("a", "first line\n\x1b[31m"), ManifestWriteError);
    writer.pair("b", "c");
    assert.equal(Buffer.from(writer.take()).toString(), ": 1\nb: c\n");
  });

  test("a refused character is found wherever it stands", () => {
    for (const refused of ["\0", "\x1f", "\x7f", "\u0080", "\u200b", "\ue000", "\uffff", "\u{30000}"]) {
      for (let before = 0; before < 9; before++) {
        const value = `${"x".repeat(before)}${refused}${"y".repeat(9)}`;
        assert.throws(
          () =>
            written([
              ["", "1"],
              ["a", value],
            ]),
          ManifestWriteError,
          JSON.stringify(value),
        );
        assert.throws(
          () =>
            written([
              ["", "1"],
              ["a", "b"],
              ["a", value],
            ]),
          ManifestWriteError,
        );
      }
    }
  });
});
