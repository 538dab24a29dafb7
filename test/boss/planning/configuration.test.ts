import assert from "node:assert/strict";
import { mkdirSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { foundConfiguration } from "../../../boss/planning/configuration.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";

test("a croft.yaml that cannot be read to its end, or is a MiB long, is refused before it is opened", async () => {
  await using tree = await temporaryDirectory("croft-test-configuration-");
  const file = join(tree.path, "croft.yaml");
  assert.equal(foundConfiguration(tree.path), undefined);
  writeFileSync(file, "");
  truncateSync(file, 1024 * 1024);
  assert.equal(foundConfiguration(tree.path), file);
  truncateSync(file, 1024 * 1024 + 1);
  assert.throws(() => foundConfiguration(tree.path), /croft\.yaml': it is longer than 1048576 bytes$/);
  rmSync(file);
  symlinkSync("/dev/zero", file);
  assert.throws(() => foundConfiguration(tree.path), /croft\.yaml': it is no file$/);
  rmSync(file);
  mkdirSync(file);
  assert.throws(() => foundConfiguration(tree.path), /croft\.yaml': it is no file$/);
});
