import assert from "node:assert/strict";
import { test } from "node:test";
import { Matrix } from "../../../boss/matrix/matrix.ts";

test("a matrix knows its targets and commits by position, and none beside them", () => {
  const matrix = new Matrix([{ name: "a", arch: "arm" }], [{ hash: null, subject: "current source" }]);
  assert.equal(matrix.targetAt(0).name, "a");
  assert.equal(matrix.commitAt(0).hash, null);
  for (const position of [-1, 1, 0.5]) {
    assert.throws(() => matrix.targetAt(position), RangeError);
    assert.throws(() => matrix.commitAt(position), RangeError);
  }
});
