/** Reports of tests as several runners write them, and what hostile machines may send in their place. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { readJunit } from "../../../controller/reports/junit.ts";

/** In pieces of a few bytes, wherever that cuts. */
async function* pieces(text: string, size = 7): AsyncGenerator<Uint8Array> {
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}
const read = (text: string, size?: number) => readJunit(pieces(text, size));
const counts = async (text: string) => {
  const { tests, failures, errors, skipped, trouble } = await read(text);
  return [tests, failures, errors, skipped, trouble];
};

// As pytest 7, go-junit-report 2, node --test-reporter=junit and Maven's surefire write them.
const pytest = `<?xml version="1.0" encoding="utf-8"?><testsuites><testsuite name="pytest" errors="0" failures="1" skipped="1"
 tests="3" time="0.040" timestamp="2026-01-02T03:04:05" hostname="m"><testcase classname="test_a" name="test_ok" time="0.001" />
<testcase classname="test_a" name="test_bad" time="0.002"><failure message="assert 1 == 2&#10; é &lt;here&gt;">def test_bad():
&gt;   assert 1 == 2</failure></testcase><testcase classname="test_a" name="test_not" time="0.000"><skipped type="pytest.skip"
 message="later">x.py:1: later</skipped></testcase></testsuite></testsuites>`;
const node = `<?xml version="1.0" encoding="utf-8"?>
<testsuites>
	<testsuite name="outer" time="0.01"><testsuite name="inner">
		<testcase name="throws" time="1.5" classname="">
			<error type="Error" message=""><![CDATA[Error: no
    at <anonymous>]]></error><system-out>noise</system-out></testcase></testsuite>
	<testcase name="is fine" time="nonsense" classname="test"/></testsuite></testsuites>`;

test("counts, names, times and reasons are read, wherever pieces are cut", async () => {
  for (const size of [1, 7, 4096]) {
    const report = await read(pytest, size);
    assert.deepEqual(
      [report.tests, report.failures, report.errors, report.skipped, report.trouble],
      [3, 1, 0, 1, undefined],
    );
    assert.ok(Math.abs(report.seconds - 0.003) < 1e-9);
    assert.deepEqual(report.failed, [
      {
        ...{ suite: "test_a", name: "test_bad", kind: "failure", seconds: 0.002 },
        message: "assert 1 == 2\n é <here>",
        details: "def test_bad():\n>   assert 1 == 2",
      },
    ]);
  }
});

test("suites below one another give tests their name; an error is told from a failure", async () => {
  const { tests, errors, failed, seconds } = await read(node);
  assert.deepEqual([tests, errors, seconds], [2, 1, 1.5]);
  const [one] = failed;
  assert.deepEqual(
    [one!.suite, one!.name, one!.kind, one!.message],
    ["outer › inner", "throws", "error", "Error"],
  );
  assert.equal(one!.details, "Error: no\n    at <anonymous>");
});

test("what is no report is told of, and what stood before that counts", async () => {
  assert.match(String((await read("<html><body/></html>")).trouble), /it begins with 'html'/);
  assert.match(String((await read("tests: 5")).trouble), /it is no XML/);
  assert.match(String((await read("")).trouble ?? "it is no report of tests"), /no/);
  const cut = await read(pytest.slice(0, pytest.indexOf("<skipped")));
  assert.deepEqual([cut.tests, cut.failures], [2, 1]);
  assert.match(cut.trouble!, /it is no XML/);
});

test("entities of its own, document types and nesting without end are refused", async () => {
  const laughs = `<?xml version="1.0"?><!DOCTYPE testsuite [<!ENTITY a "${"ha".repeat(50)}"><!ENTITY b "&a;&a;">]>
<testsuite><testcase name="&b;"/></testsuite>`;
  assert.match((await read(laughs)).trouble!, /document type/);
  assert.match((await read('<testsuite><testcase name="&xxe;"/></testsuite>')).trouble!, /it is no XML/);
  assert.match((await read("<testsuite>".repeat(100_000), 32 << 10)).trouble!, /nested too deeply/);
  assert.deepEqual(await counts("<testsuite><testcase><failure/></testcase></testsuite>"), [
    1,
    1,
    0,
    0,
    undefined,
  ]);
});

test("it is read up to bounds: its length, its tests, those that are kept, and their texts", async () => {
  const long = `<testsuite name="${"n".repeat(2000)}">${`<testcase name="${"x".repeat(900)}"/>`.repeat(10_000)}</testsuite>`;
  const { trouble, tests } = await read(long, 32 << 10);
  assert.match(trouble!, /longer than 8 MiB/);
  assert.ok(tests > 5000);
  const many = `<testsuite>${"<testcase/>".repeat(100_001)}</testsuite>`;
  assert.match((await read(many, 32 << 10)).trouble!, /more than 100000 tests/);
  const failing = `<testsuite>${`<testcase><failure message="m">${"d".repeat(5000)}</failure></testcase>`.repeat(300)}</testsuite>`;
  const { failures, failed } = await read(failing, 32 << 10);
  assert.deepEqual([failures, failed.length], [300, 200]);
  const [big] = (
    await read(`<testsuite><testcase><error>${"d".repeat(500_000)}</error></testcase></testsuite>`, 32 << 10)
  ).failed;
  assert.ok(big!.details.length <= 40_000);
  assert.match((await read(`<testsuite a="${"a".repeat(500_000)}"/>`, 32 << 10)).trouble!, /it is no XML/);
});
