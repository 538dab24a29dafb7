import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { appendFileSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { noteRandomness } from "../../../machines/warm/seen-randomness.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";

test("what an earlier machine has drawn is known again, also after a note that was cut short", async () => {
  await using directory = await temporaryDirectory("croft-test-seen-");
  const [one, other, third] = [randomBytes(32), randomBytes(32), randomBytes(32)];
  assert.equal(await noteRandomness(directory.path, one), true);
  assert.equal(await noteRandomness(directory.path, other), true);
  assert.equal(await noteRandomness(directory.path, one), false);
  appendFileSync(join(directory.path, "seen"), "half a digest");
  assert.equal(await noteRandomness(directory.path, third), true);
  for (const drawn of [one, other, third]) assert.equal(await noteRandomness(directory.path, drawn), false);
  assert.deepEqual(readdirSync(directory.path), ["seen"]);
});

test("10,000 are kept, and the oldest goes", async () => {
  await using directory = await temporaryDirectory("croft-test-seen-");
  const path = join(directory.path, "seen");
  const first = randomBytes(32);
  await noteRandomness(directory.path, first);
  appendFileSync(path, randomBytes(9_999 * 32));
  assert.equal(await noteRandomness(directory.path, first), false);
  const next = randomBytes(32);
  assert.equal(await noteRandomness(directory.path, next), true);
  assert.equal(statSync(path).size, 10_000 * 32);
  assert.equal(await noteRandomness(directory.path, next), false);
  assert.equal(await noteRandomness(directory.path, first), true);
});

test("of machines that have drawn the same at the same time, one goes on", async () => {
  await using directory = await temporaryDirectory("croft-test-seen-");
  const drawn = randomBytes(32);
  const all = await Promise.all(Array.from({ length: 8 }, () => noteRandomness(directory.path, drawn)));
  assert.equal(all.filter((isNew) => isNew).length, 1);
});
