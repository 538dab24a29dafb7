import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { packageFile } from "../../os/files/package.ts";
import { run } from "../../os/run.ts";
import { temporaryDirectory } from "../../os/files/temporary.ts";
import { readRecords, summary, type TestRecord } from "./slowest.ts";

const passed = (name: string, seconds: number): TestRecord => ({
  ...{ name, file: "test/a.test.ts", seconds, outcome: "passed" },
});

test("the end of a run names the ten slowest tests, the slowest first, and counts all", () => {
  const records = Array.from({ length: 20 }, (_, index) => passed(`t${index}`, index));
  const lines = summary([...records, { ...passed("broken", 100), outcome: "failed" }]).split("\n");
  assert.deepEqual(lines.slice(0, 4), [
    "",
    "The slowest tests:",
    "   100.0 s  broken (test/a.test.ts)",
    "    19.0 s  t19 (test/a.test.ts)",
  ]);
  assert.deepEqual(lines.slice(11), [
    "    11.0 s  t11 (test/a.test.ts)",
    "",
    "21 tests ran: 20 passed, 1 failed; 0 skipped.",
    "",
  ]);
});

test("the files that took the most of the processors are named, the most expensive first, and the sum of all", () => {
  const times = Array.from({ length: 11 }, (_, index) => ({ file: `test/${index}.ts`, seconds: index }));
  const lines = summary([passed("t", 1)], times).split("\n");
  assert.deepEqual(lines.slice(3, 6), [
    "",
    "Processor time, 55 s in all, most of it in:",
    "    10.0 s  test/10.ts",
  ]);
  assert.equal(lines.filter((line) => line.includes(" s  test/")).length, 10);
});

test("a run's tests are recorded as they ended: suites are no tests, and what is skipped says why", async () => {
  await using directory = await temporaryDirectory("croft-test-record-");
  const file = join(directory.path, "some.test.mjs");
  await writeFile(
    file,
    `import { describe, test } from "node:test";
describe("suite", () => {
  test("good", () => {});
  test("bad", () => { throw new Error("no"); });
});
test("not here", { skip: "no such thing" }, () => {});
test("later", (t) => t.skip());
`,
  );
  const reporter = packageFile("test", "runner", "record.ts");
  const env = { ...process.env };
  delete env["NODE_TEST_CONTEXT"];
  const argv = [process.execPath, "--test", `--test-reporter=${reporter}`, file];
  const { stdout } = await run(argv, { timeoutSeconds: 300, env, accept: [1] });
  await writeFile(join(directory.path, "records"), stdout);
  const records = await readRecords(join(directory.path, "records"));
  assert.deepEqual(
    records.map(({ name, outcome, why }) => [name, outcome, why]),
    [
      ["good", "passed", undefined],
      ["bad", "failed", undefined],
      ["not here", "skipped", "no such thing"],
      ["later", "skipped", undefined],
    ],
  );
  assert.match(summary(records), /\n {2}not here \(.*some\.test\.mjs\): no such thing\n/);
  assert.match(summary(records), /\n2 tests ran: 1 passed, 1 failed; 2 skipped\.\n$/);
});
