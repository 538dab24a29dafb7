import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { manualFiles } from "../../bin/manual.ts";

test("the generated parts of the manual are current (npm run docs writes them again)", async () => {
  for (const [path, content] of await manualFiles("2000-01-01"))
    assert.equal(readFileSync(path, "utf8"), content, path);
});
