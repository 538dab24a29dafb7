import assert from "node:assert/strict";
import { test } from "node:test";
import type { TSchema } from "typebox";
import { Compile } from "typebox/compile";
import { bossFileSchema } from "../../boss/planning/boss-file.ts";
import { fitsSchema } from "../../os/command-line/plain-schema.ts";

const values: [unknown, boolean][] = [
  [{}, true],
  [[], false],
  [null, false],
  ["hosts", false],
  [{ hosts: { alpha: null, beta: { ssh: "b", "max-builds": 16, "work-dir": "/w" } } }, true],
  [{ hosts: { beta: { "max-builds": 0 } } }, false],
  [{ hosts: { beta: { "max-builds": 10_001 } } }, false],
  [{ hosts: { beta: { "max-builds": 1.5 } } }, false],
  [{ hosts: { beta: { "max-builds": "3" } } }, false],
  [{ hosts: { beta: { port: 3 } } }, false],
  [{ hosts: ["alpha"] }, false],
  [{ recipe: "linux" }, true],
  [{ recipe: { build: "make", "config-files": [".config"] } }, true],
  [{ recipe: { build: "" } }, false],
  [{ recipe: { configure: "make" } }, false],
  [{ recipe: { build: "make", images: "u-boot" } }, false],
  [{ recipe: { build: "make", images: [3] } }, false],
  [{ targets: { a: null, b: {}, c: { arch: "arm" } } }, true],
  [{ targets: { c: { arch: "" } } }, false],
  [{ toolchains: { toString: "gcc" } }, true],
  [{ settings: { anything: [1, null] } }, true],
  [{ settings: 3 }, false],
  [{ output: null }, false],
  [{ toString: "x" }, false],
];

test("values fit a plain schema if, and only if, the library that knows all of JSON Schema says so", () => {
  const library = Compile<TSchema>(bossFileSchema);
  for (const [value, fits] of values) {
    assert.equal(fitsSchema(value, bossFileSchema), fits, JSON.stringify(value));
    assert.equal(library.Check(value), fits, JSON.stringify(value));
  }
});
