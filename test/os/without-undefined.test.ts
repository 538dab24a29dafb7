import assert from "node:assert/strict";
import { test } from "node:test";
import { assertFailure, Failure } from "../../os/failure.ts";
import { withoutUndefined } from "../../os/without-undefined.ts";

test("fields without a value are left out, those with null, 0 or nothing in them are kept", () => {
  const fields = withoutUndefined({ a: undefined, b: 0, c: "", d: null, e: false });
  assert.deepEqual(Object.keys(fields), ["b", "c", "d", "e"]);
});

test("a failure is handled, a bug is thrown on as it is", () => {
  assert.doesNotThrow(() => assertFailure(new Failure("do it", "it is broken")));
  const bug = new TypeError("undefined is not a function");
  assert.throws(
    () => assertFailure(bug),
    (thrown) => thrown === bug,
  );
});
