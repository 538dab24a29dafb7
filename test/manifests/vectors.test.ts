import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ManifestError, ManifestWriteError } from "../../manifests/error.ts";
import { splitComment } from "../../manifests/text/comment.ts";
import { readPairs } from "../../manifests/text/fast-reader.ts";
import { readPositionedPairs } from "../../manifests/text/reader.ts";
import { ManifestWriter } from "../../manifests/text/writer.ts";
import { commentVectors, inputOf, parseVectors, serializeVectors, type ParseVector } from "./vectors.ts";

function checkReading(
  vector: ParseVector,
  read: (bytes: Uint8Array) => { name: string; value: string }[],
): void {
  const input = inputOf(vector);
  if (vector.ok) {
    const pairs = read(input).map(({ name, value }) => [name, value]);
    assert.deepEqual(pairs, vector.pairs);
    return;
  }
  assert.throws(
    () => read(input),
    (error: unknown) => {
      assert.ok(error instanceof ManifestError);
      assert.deepEqual(
        { line: error.line, column: error.column, reason: error.reason },
        { line: vector.line, column: vector.column, reason: vector.error },
      );
      return true;
    },
  );
}

describe("the exact reader agrees with the reference", () => {
  for (const vector of parseVectors)
    test(vector.name, () => checkReading(vector, (bytes) => readPositionedPairs(bytes)));
});

describe("the fast reader agrees with the reference", () => {
  for (const vector of parseVectors)
    test(vector.name, () => checkReading(vector, (bytes) => readPairs(bytes)));
});

describe("the writer agrees with the reference", () => {
  for (const vector of serializeVectors) {
    test(vector.name, () => {
      const pairs =
        vector.pairs ??
        vector.pairsBase64!.map(
          (pair) => pair.map((text) => Buffer.from(text, "base64")) as [Buffer, Buffer],
        );
      const writer = new ManifestWriter({ longLines: vector.longLines });
      const write = () => {
        for (const [name, value] of pairs) {
          if (vector.comments && name === "#") writer.comment(value);
          else writer.pair(name, value);
        }
        return Buffer.from(writer.take()).toString("utf8");
      };
      if (vector.error === undefined) assert.equal(write(), vector.text);
      else
        assert.throws(write, (error: unknown) => {
          assert.ok(error instanceof ManifestWriteError);
          assert.equal(error.reason, vector.error);
          return true;
        });
    });
  }
});

describe("comments agree with the reference", () => {
  for (const vector of commentVectors) {
    test(vector.name, () => {
      // What the reference joins of two is split into them again.
      const { value, comment } = splitComment(vector.merged ?? vector.value);
      assert.deepEqual([value, comment], vector.split ?? [vector.value, vector.comment]);
    });
  }
});
