import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { UsageFailure } from "../../os/failure.ts";
import { nearestWord } from "../../os/command-line/nearest.ts";
import { readOptionsFile } from "../../os/command-line/options-file.ts";
import type { OptionDeclaration } from "../../os/command-line/options.ts";
import { temporaryDirectory } from "../../os/files/temporary.ts";

const options: OptionDeclaration[] = [
  { name: "build-timeout", kind: "integer", prose: "" },
  {
    name: "trust",
    kind: "string",
    repeat: true,
    check: (text) => (text === "bad" ? "it is bad" : undefined),
    prose: "",
  },
];

for (const [text, place, reason] of [
  ["build_timeout: 1\n", "1:1", "build_timeout: unknown key (did you mean 'build-timeout'?)"],
  ["\nbuidl-timeout: 1\n", "2:1", "buidl-timeout: unknown key (did you mean 'build-timeout'?)"],
  ["--trust: 1\n", "1:1", "--trust: unknown key (did you mean 'trust'?)"],
  ["nonsense: 1\n", "1:1", "nonsense: unknown key"],
  ["1: 1\n", "1:1", "1: unknown key"],
  ["trust: []\ntrust: []\n", "2:1", "trust: the key stands there twice"],
  ["trust:\n  - good\n  - bad\n", "3:5", "trust: it is bad"],
  ["trust: [good,\n bad]\n", "2:2", "trust: it is bad"],
  ["trust: good\n", "1:1", "trust: expected a list"],
  ["trust: [x, [y]]\n", "1:12", "trust: expected text; what looks like a number needs quotes"],
  ["build-timeout: '1'\n", "1:1", "build-timeout: expected a whole number of at least 0"],
  ["build-timeout:\n", "1:1", "build-timeout: expected a whole number of at least 0"],
  ["- a\n", "1:1", "expected keys with values"],
  ["text\n", "1:1", "expected keys with values"],
  ["trust: *x\n", "1:1", "Unresolved alias (the anchor must be set before the alias): x"],
  ["a: 1\n---\nb: 1\n", "2:1", "Source contains multiple documents; please use YAML.parseAllDocuments()"],
] as const)
  test(`the file ${JSON.stringify(text)} is refused with place and key`, async () => {
    await using directory = await temporaryDirectory("croft-test-");
    const file = join(directory.path, "a.yaml");
    writeFileSync(file, text);
    assert.throws(
      () => readOptionsFile(file, options),
      (error) => {
        assert.ok(error instanceof UsageFailure);
        assert.equal(error.message, `Cannot use configuration '${file}': ${file}:${place}: ${reason}`);
        return true;
      },
    );
  });

test("an empty file says nothing", async () => {
  await using directory = await temporaryDirectory("croft-test-");
  const file = join(directory.path, "a.yaml");
  writeFileSync(file, "# nothing\n");
  assert.deepEqual(readOptionsFile(file, options).values, {});
});

test("a word is near another if few letters differ, and none is if none is", () => {
  const words = ["cpu", "ram", "request-timeout", "request-retries"];
  assert.equal(nearestWord("cpus", words), "cpu");
  assert.equal(nearestWord("rma", words), "ram");
  assert.equal(nearestWord("request-retires", words), "request-retries");
  assert.equal(nearestWord("storage", words), undefined);
  assert.equal(nearestWord("", words), undefined);
});
