/** `croft agent rejected`: what an operator does with refused results. */
import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { packageFile } from "../../os/files/package.ts";
import { temporaryDirectory } from "../../os/files/temporary.ts";
import { run } from "../../os/run.ts";
import { Spool } from "../../agent/task-state/spool.ts";
import { task } from "./running-agent.ts";

test("refused results are listed, shown without proof of who sends them, sent again, and dropped", async () => {
  await using directory = await temporaryDirectory("croft-test-rejected-");
  const spool = await Spool.open(join(directory.path, "default-1"));
  const names: string[] = [];
  for (const answer of ["410\ngone\n", "400\n\x1b]0;title\x07odd\n"]) {
    const entry = await spool.begin({
      session: "s3cret",
      resultUrl: "http://c/?build-result",
      uploadUrls: {},
      task: `: 1\n${task}`,
    });
    await entry.setResult(Buffer.from(": 1\nsession: s3cret\nchallenge: c2ln\n: 1\nstatus: success\n"));
    await entry.reject(answer);
    names.push(entry.name);
  }
  const [first, second] = names as [string, string];
  const croft = async (...args: string[]) => {
    const command = [process.execPath, packageFile("bin", "croft.js"), "agent", "rejected", ...args];
    return (await run([...command, "--spool", directory.path], { timeoutSeconds: 120 })).stdout;
  };
  const list = await croft("list");
  assert.match(list, new RegExp(`^${first} +default-1 +\\S+ bytes +hello/1\\.0 +410: gone$`, "m"));
  const shown = await croft("show", second);
  assert.match(shown, /^result URL: http:\/\/c\/\?build-result$/m);
  assert.match(shown, /^400\nodd$/m);
  assert.match(shown, /^session: \*\*\*\nchallenge: \*\*\*$/m);
  await assert.rejects(croft("drop"), /no entry is named/);
  assert.match(await croft("send", first), /agent default-1 sends it in its next round/);
  assert.deepEqual(
    (await spool.entries()).map(({ name }) => name),
    [first],
  );
  await croft("drop", "--all");
  assert.deepEqual(await readdir(join(spool.directory, "rejected")), []);
});
