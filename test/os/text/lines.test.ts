import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { LineSplitter } from "../../../os/text/lines.ts";

/** The texts of the lines that a splitter makes of chunks. */
function split(chunks: Iterable<Buffer>, maxBytes?: number): string[] {
  const splitter = new LineSplitter(maxBytes);
  const lines = [...chunks].flatMap((chunk) => [...splitter.push(chunk)]);
  return [...lines, ...splitter.end()].map(({ text, missing }) => (missing ? `${text}+${missing}` : text));
}

describe("lines of a stream", () => {
  it("are the same however the bytes are cut", () => {
    const text = "first\n\nüñí, 𝄞 and €\r\nlast without newline";
    const bytes = Buffer.from(text);
    const expected = text.split("\n");
    for (let size = 1; size <= bytes.length; size++) {
      const chunks = Array.from({ length: Math.ceil(bytes.length / size) }, (_, index) =>
        bytes.subarray(index * size, (index + 1) * size),
      );
      assert.deepEqual(split(chunks), expected, `chunks of ${size} bytes`);
    }
  });

  it("a newline at the end begins no further line, and nothing has none", () => {
    assert.deepEqual(split([Buffer.from("a\n"), Buffer.from("b\n")]), ["a", "b"]);
    assert.deepEqual(split([Buffer.from("\n")]), [""]);
    assert.deepEqual(split([]), []);
    assert.deepEqual(split([Buffer.alloc(0)]), []);
  });

  it("what is no UTF-8 is replaced", () => {
    assert.deepEqual(split([Buffer.from([0x61, 0xff, 0x62, 0x0a])]), ["a\ufffdb"]);
  });

  it("a line that is too long is kept to the limit, with the count of what is missing", () => {
    assert.deepEqual(split([Buffer.from("abcdefgh\nij\n")], 4), ["abcd+4", "ij"]);
    assert.deepEqual(
      split(
        [..."abcdefgh\nij"].map((c) => Buffer.from(c)),
        4,
      ),
      ["abcd+4", "ij"],
    );
  });

  it("50 MB in one line, in chunks of the size of pipes, are copied a few times only", () => {
    const size = 50_000_000;
    const chunk = Buffer.alloc(65536, "x");
    let copied = 0;
    const copy = Buffer.prototype.copy;
    Buffer.prototype.copy = function (...args: Parameters<typeof copy>) {
      const count = copy.apply(this, args);
      copied += count;
      return count;
    };
    try {
      const splitter = new LineSplitter();
      for (let left = size; left > 0; left -= chunk.length)
        assert.deepEqual([...splitter.push(chunk.subarray(0, Math.min(left, chunk.length)))], []);
      const [line] = [...splitter.push(Buffer.from("\nnext"))];
      assert.equal(line?.text.length, size);
      assert.deepEqual([...splitter.end()], [{ text: "next", missing: 0 }]);
    } finally {
      Buffer.prototype.copy = copy;
    }
    assert.ok(copied <= 3 * size, `${copied} bytes copied`);
  });
});
