import assert from "node:assert/strict";
import { globSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { packageRoot } from "../../os/files/package.ts";
import { temporaryDirectory } from "../../os/files/temporary.ts";
import { LongParts } from "./long-parts.ts";

const [first, second] = ["1".repeat(40), "2".repeat(40)] as const;

async function makeParts() {
  const directory = await temporaryDirectory("croft-test-long-");
  await mkdir(join(directory.path, "test"));
  await writeFile(join(directory.path, "test", "b.long.ts"), "/** What b is about */\nconst x = 1;\n");
  await writeFile(
    join(directory.path, "test", "a.long.ts"),
    "/**\n * What a is about.\n * More of it.\n */\n",
  );
  const open = () => new LongParts(directory.path, ["test/b.long.ts", "test/a.long.ts"]);
  return { open, [Symbol.asyncDispose]: () => directory[Symbol.asyncDispose]() };
}

test("parts are listed by name, with what they are about and how they ended", async () => {
  await using made = await makeParts();
  const parts = made.open();
  assert.equal(parts.listing(first), "a  not run yet  What a is about.\nb  not run yet  What b is about\n");
  parts.note(parts.find("a"), { commit: first, passed: true, seconds: 75 });
  parts.note(parts.find("b"), { commit: first, passed: false, seconds: 5 });
  assert.match(
    parts.listing(first),
    /^a {2}passed on this commit after 1m15s {2}W.*\nb {2}failed on this commit/,
  );
  assert.match(parts.listing(second), /^a {2}passed on 111111111 after 1m15s/);
  assert.throws(() => parts.find("c"), /Cannot run 'c': there is no such part/);
});

test("a part that passed is remembered for that commit only; one that failed is not", async () => {
  await using made = await makeParts();
  const parts = made.open();
  const [a, b] = [parts.find("a"), parts.find("b")];
  parts.note(a, { commit: first, passed: true, seconds: 1 });
  parts.note(b, { commit: first, passed: false, seconds: 1 });
  const again = made.open();
  assert.deepEqual([again.hasPassed(a, first), again.hasPassed(b, first)], [true, false]);
  assert.deepEqual([again.hasPassed(a, second), again.hasPassed(a, undefined)], [false, false]);
});

test("each part of this project has a name of its own, and says what it is about", () => {
  const files = globSync("test/**/*.long.ts", { cwd: packageRoot });
  const { all } = new LongParts(packageRoot, files);
  assert.ok(all.length > 20);
  assert.equal(new Set(all.map(({ name }) => name)).size, all.length);
  assert.deepEqual(
    all.filter(({ subject }) => subject === "").map(({ file }) => file),
    [],
  );
});
