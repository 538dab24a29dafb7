import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { formatResult, parseResult, sanitizeResultText, type Result } from "../../manifests/result.ts";
import { matchesManifestCharacters, replaceRefusedCharacters } from "../../manifests/text/characters.ts";
import { readPairs } from "../../manifests/text/fast-reader.ts";
import { writePairs } from "../../manifests/text/writer.ts";
import { Random, randomPairs, randomValue } from "./random.ts";

const head = ": 1\nname: p\nversion: 1\nstatus: error\nupdate-status: error\n";
const sanitized = (text: string) =>
  Buffer.from(sanitizeResultText(Buffer.from(text, "latin1"))).toString("latin1");

describe("sanitizing a result", () => {
  test("replaces what the format refuses in every form of a log", () => {
    for (const [log, expected] of [
      ["update-log: \x1b[31mred\n", "?[31mred"],
      ["update-log:\n\\\n\x1b[31mred\xff\n\0\n\\\n", "?[31mred?\n?"],
      ["update-log:\\\na\x07\n\\\n", "a?"],
      ["update-log: a\\\n\x07\\\n\\\n\x08\n", "a?\n?"],
      ["update-log:\r\n\\\r\na\x07\r\n\\\r\n", "a?"],
      [" update-log : a\xe2\x82\n", "a?"],
      ["update-log:\n\\\nunterminated \x07", "unterminated ?"],
    ] as const)
      assert.equal(
        parseResult(sanitizeResultText(Buffer.from(head + log, "latin1"))).operations[0]!.log,
        expected,
      );
  });

  test("changes nothing outside of logs", () => {
    for (const text of [
      ": 1\nname: a\x07\nupdate-log: x\n",
      "# comment-log: \x07\nname: \\\nupdate-log: \x07\n",
      "name:\n\\\nupdate-log: \x07\n\\\n",
      "-log: \x07\nupdate-log \x07: x\nupdate-logs: \x07\n",
      "\x07: x\nno colon\x07\n",
      "\x07-log: x\n",
      "a-log:\n\\\x07", // a backslash before the last byte opens nothing
    ])
      assert.equal(sanitized(text), text);
  });

  test("goes on after a log", () =>
    assert.equal(
      sanitized("a-log:\n\\\n\x07\n\\\nname: \x07\nb-log: x\\\n\x07\nc: \x07\n"),
      "a-log:\n\\\n?\n\\\nname: \x07\nb-log: x\\\n?\nc: \x07\n",
    ));

  test("changes nothing in what is accepted", () => {
    const random = new Random(8);
    for (let round = 0; round < 2000; round++) {
      const text = writePairs(
        randomPairs(random).map((pair) => (pair.name ? { ...pair, name: `${pair.name}-log` } : pair)),
      );
      assert.deepEqual(Buffer.from(sanitizeResultText(Buffer.from(text))), Buffer.from(text));
    }
  });

  test("whatever bytes a log has, the result can be read, and its other values are as they were", () => {
    const random = new Random(9);
    for (let round = 0; round < 2000; round++) {
      const result: Result = {
        name: "p",
        version: "1",
        status: "error",
        operations: [{ name: "update", status: "error", log: `\u0416${randomValue(random)}\u0416` }],
        workerChecksum: "w",
      };
      const text = Buffer.from(formatResult(result));
      const [from, to] = [text.indexOf("\u0416") + 2, text.lastIndexOf("\u0416")];
      // Not what ends lines, and not lines' ends: those would change where the log ends.
      for (let at = from; at < to; at++)
        if (text[at] !== 0x0a && text[at] !== 0x5c && random.below(4) === 0)
          text[at] = 0x80 + random.below(128);
      const read = parseResult(sanitizeResultText(text));
      assert.deepEqual({ ...read, operations: [] }, { ...result, operations: [] });
    }
  });

  test("tells of as many values as the reader finds, before they are looked at", () => {
    const random = new Random(10);
    for (let round = 0; round < 2000; round++) {
      const text = writePairs(
        randomPairs(random).map((pair) => (pair.name ? { ...pair, name: `${pair.name}-log` } : pair)),
      );
      let told = 0;
      sanitizeResultText(Buffer.from(text), () => told++);
      // The end of a manifest, and of the stream, is a pair without text.
      assert.equal(told, readPairs(text).filter(({ name, value }) => name + value !== "").length);
    }
    const refuse = () => {
      throw new Error("enough");
    };
    assert.throws(() => sanitizeResultText(Buffer.from("a: b\n"), refuse), /enough/);
  });
});

describe("characters", () => {
  test("text and bytes are judged alike, as the reader judges them", () => {
    for (let codePoint = 0; codePoint <= 0x10ffff; codePoint += codePoint < 0x3000 ? 1 : 97) {
      if (codePoint >= 0xd800 && codePoint <= 0xdfff) continue;
      const text = String.fromCodePoint(codePoint);
      const accepted = matchesManifestCharacters(text);
      assert.equal(matchesManifestCharacters(Buffer.from(text)), accepted, codePoint.toString(16));
      let read = true;
      try {
        readPairs(Buffer.from(`: 1\na: x${text}y\nb: c\n`));
      } catch {
        read = false;
      }
      const startsPair = text === "\n" || text === "\r"; // and then "y" lacks its colon
      assert.equal(read, accepted && !startsPair, codePoint.toString(16));
    }
  });

  test("what is replaced is accepted then, in text and in bytes", () => {
    assert.equal(replaceRefusedCharacters("a\x1b\ud800b\ufeffc\u{1f600}\n", "?"), "a??b?c\u{1f600}\n");
    const bytes = replaceRefusedCharacters(Buffer.from("61ff62e2820ac3", "hex"), "?");
    assert.equal(Buffer.from(bytes).toString(), "a?b?\n?");
  });
});
