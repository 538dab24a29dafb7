import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ManifestError } from "../../manifests/error.ts";
import { readPairs } from "../../manifests/text/fast-reader.ts";
import { ManifestReader, type PositionedPair } from "../../manifests/text/reader.ts";
import { writePairs } from "../../manifests/text/writer.ts";
import { Random, randomInput, randomPairs } from "./random.ts";

interface Outcome {
  pairs: PositionedPair[];
  error?: { line: number; column: number; reason: string };
}

function readInChunks(input: Buffer, chunkSize: () => number): Outcome {
  const outcome: Outcome = { pairs: [] };
  const reader = new ManifestReader((pair) => outcome.pairs.push(pair));
  try {
    for (let at = 0; at < input.length;) {
      const size = chunkSize();
      reader.push(input.subarray(at, at + size));
      at += size;
    }
    reader.end();
  } catch (error) {
    outcome.error = errorOf(error);
  }
  return outcome;
}

function errorOf(error: unknown): { line: number; column: number; reason: string } {
  if (!(error instanceof ManifestError)) throw error;
  return { line: error.line, column: error.column, reason: error.reason };
}

function readFast(input: Buffer): unknown {
  try {
    return readPairs(input);
  } catch (error) {
    return errorOf(error);
  }
}

const show = (input: Buffer) => JSON.stringify(input.toString("latin1"));

describe("reading", () => {
  test("in pieces of any size is the same as reading at once", () => {
    const random = new Random(1);
    for (let round = 0; round < 5000; round++) {
      const input = randomInput(random);
      const whole = readInChunks(input, () => input.length);
      assert.deepEqual(
        readInChunks(input, () => 1),
        whole,
        show(input),
      );
      assert.deepEqual(
        readInChunks(input, () => 1 + random.below(9)),
        whole,
        show(input),
      );
    }
  });

  test("fast is the same as reading exactly, errors and their positions included", () => {
    const random = new Random(2);
    let errors = 0;
    for (let round = 0; round < 30_000; round++) {
      const input = randomInput(random);
      const exact = readInChunks(input, () => input.length);
      if (exact.error) errors++;
      const expected = exact.error ?? exact.pairs.map(({ name, value }) => ({ name, value }));
      assert.deepEqual(readFast(input), expected, show(input));
    }
    assert.ok(errors > 3000 && errors < 27_000, `${errors} of 30000 were errors`);
  });

  test("fast is the same as reading exactly where one byte of a written stream was changed", () => {
    const random = new Random(3);
    for (let round = 0; round < 5000; round++) {
      const input = Buffer.from(writePairs(randomPairs(random)));
      if (input.length > 0) input[random.below(input.length)] = random.below(256);
      const exact = readInChunks(input, () => input.length);
      const expected = exact.error ?? exact.pairs.map(({ name, value }) => ({ name, value }));
      assert.deepEqual(readFast(input), expected, show(input));
    }
  });

  test("gives back what was written, with broken and with long lines", () => {
    const random = new Random(4);
    for (let round = 0; round < 5000; round++) {
      const pairs = randomPairs(random);
      for (const longLines of [false, true]) {
        const text = writePairs(pairs, { longLines });
        const read = readPairs(text);
        assert.deepEqual(read, pairs, JSON.stringify(pairs));
      }
    }
  });

  test("a value's strings do not keep the input alive", () => {
    const text = Buffer.from(": 1\nname: short value\nlog:\n\\\nline\\\nline\n\\\n");
    const pairs = readPairs(text);
    text.fill(0x78);
    assert.deepEqual(
      pairs.map(({ value }) => value),
      ["1", "short value", "lineline", "", ""],
    );
  });
});
