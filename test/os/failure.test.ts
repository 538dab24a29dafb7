import assert from "node:assert/strict";
import { test } from "node:test";
import { isSystemError, reasonOf } from "../../os/failure.ts";

test("system errors that Node.js has no name for are known by their number", () => {
  const quota = Object.assign(new Error("Unknown system error -122: Unknown system error -122, write"), {
    code: "Unknown system error -122",
    errno: -122,
  });
  assert.ok(isSystemError(quota, "ENOSPC", "EDQUOT"));
  assert.ok(!isSystemError(quota, "ENOSPC"));
  assert.equal(reasonOf(quota), "disk quota exceeded");
  assert.ok(isSystemError(Object.assign(new Error("x"), { code: "ENOSPC", errno: -28 }), "ENOSPC"));
  assert.ok(!isSystemError(null, "ENOSPC"));
});
