import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { packageFile } from "../../os/files/package.ts";
import { run } from "../../os/run.ts";
import { temporaryDirectory } from "../../os/files/temporary.ts";
import type { InOrderOptions } from "./in-order.ts";
import { inOrder, longest } from "./order.ts";
import { readRecords } from "./slowest.ts";

test("the longest files come first, the fast ones last", () => {
  const [first, second] = longest as [string, string];
  const others = ["test/a.test.ts", "test/b.real.ts", "test/c.real.ts"];
  assert.deepEqual(inOrder([...others, second, first]), [first, second, ...others.slice(1), others[0]]);
});

test("the files that are named as the longest are there", () => {
  assert.deepEqual(
    longest.filter((file) => !existsSync(packageFile(file))),
    [],
  );
});

test("files are started in the order given, and one that fails makes the run fail", async () => {
  await using directory = await temporaryDirectory("croft-test-order-");
  const at = (name: string) => join(directory.path, name);
  for (const name of ["b", "a"])
    await writeFile(at(`${name}.mjs`), `import { test } from "node:test";\ntest("${name}", () => {});\n`);
  await writeFile(at("c.mjs"), `import { test } from "node:test";\ntest("c", () => { throw 1; });\n`);
  const statusOf = async (...names: string[]) => {
    const given: InOrderOptions = {
      ...{ files: names.map((name) => at(`${name}.mjs`)), concurrency: 1, timeoutMs: 300_000, names: [] },
      records: at("records"),
    };
    const env = { ...process.env };
    delete env["NODE_TEST_CONTEXT"];
    const argv = [process.execPath, join(import.meta.dirname, "in-order.ts"), JSON.stringify(given)];
    return (await run(argv, { timeoutSeconds: 600, env, accept: [0, 1] })).status;
  };
  assert.equal(await statusOf("b", "a"), 0);
  assert.deepEqual(
    (await readRecords(at("records"))).map(({ name }) => name),
    ["b", "a"],
  );
  assert.equal(await statusOf("c", "a"), 1);
});
