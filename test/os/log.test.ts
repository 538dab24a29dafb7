import assert from "node:assert/strict";
import { closeSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { makeLog, type LogFormat } from "../../os/log.ts";
import { temporaryDirectory } from "../../os/files/temporary.ts";

/** What a log with these settings writes. */
async function written(format: LogFormat, verbosity: number): Promise<string[]> {
  await using directory = await temporaryDirectory("croft-test-");
  const file = join(directory.path, "log");
  const fd = openSync(file, "w");
  const log = makeLog({ format, verbosity, destination: fd }).child({ machine: "m" });
  log.error({ reason: "two\nlines" }, "went wrong");
  log.warn("beware");
  log.info("fact");
  log.milestone("milestone");
  log.step("step");
  log.output("output");
  log.trace("trace");
  log.deep("deep");
  closeSync(fd);
  return readFileSync(file, "utf8").trimEnd().split("\n");
}

test("each verbosity shows one kind more", async () => {
  const counts = [];
  for (let verbosity = 0; verbosity <= 6; verbosity++) counts.push((await written("json", verbosity)).length);
  assert.deepEqual(counts, [1, 3, 4, 5, 6, 7, 8]);
});

test("on a terminal a record is one readable line with its fields", async () => {
  const [error, warning] = await written("terminal", 1);
  assert.match(error!, /^\[\d\d:\d\d:\d\d\] ERROR: went wrong \{"machine":"m","reason":"two\\nlines"\}$/);
  assert.match(warning!, /^\[\d\d:\d\d:\d\d\] WARN: beware \{"machine":"m"\}$/);
});

test("under systemd a record is one line that begins with its priority", async () => {
  const lines = await written("systemd", 3);
  assert.deepEqual(
    lines.map((line) => /^<(\d)>([a-z ]+?)(?: \{|$)/.exec(line)?.slice(1)),
    [
      ["3", "went wrong"],
      ["4", "beware"],
      ["6", "fact"],
      ["6", "milestone"],
      ["7", "step"],
    ],
  );
});

test("as JSON a record is an object with its fields apart", async () => {
  const [error] = (await written("json", 0)).map((line) => JSON.parse(line) as Record<string, unknown>);
  assert.equal(error!["msg"], "went wrong");
  assert.equal(error!["reason"], "two\nlines");
  assert.equal(error!["machine"], "m");
  assert.equal(error!["level"], 50);
});

test("secrets of URLs are not shown", async () => {
  await using directory = await temporaryDirectory("croft-test-");
  const file = join(directory.path, "log");
  const fd = openSync(file, "w");
  const log = makeLog({ format: "json", destination: fd });
  const url = "https://me:s3cret@farm.example/task?token=s3cret";
  log.child({ url }).info({ controller: url }, "asked");
  log.info({ url: undefined, controller: "file task.manifest" }, "none");
  closeSync(fd);
  const text = readFileSync(file, "utf8");
  assert.doesNotMatch(text, /s3cret/);
  assert.match(
    text,
    /"url":"https:\/\/farm\.example\/task\?token=\*\*\*","controller":"https:\/\/farm\.example\/task\?token=\*\*\*"/,
  );
  assert.match(text, /"controller":"file task\.manifest"/);
});
