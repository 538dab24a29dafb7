import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { run } from "../../os/run.ts";
import { temporaryDirectory } from "../../os/files/temporary.ts";
import { currentCommit } from "./long-parts.ts";

test("a work tree with changes has no commit's content", async () => {
  await using directory = await temporaryDirectory("croft-test-long-");
  const root = directory.path;
  const git = (...args: string[]) =>
    run(["git", "-C", root, "-c", "user.name=t", "-c", "user.email=t@example.org", ...args], {
      timeoutSeconds: 300,
    });
  await git("init", "--quiet");
  assert.equal(await currentCommit(root), undefined);
  await writeFile(join(root, "file"), "1");
  await git("add", "file");
  await git("commit", "--quiet", "--message", "one");
  assert.match((await currentCommit(root)) ?? "", /^[0-9a-f]{40}$/);
  await writeFile(join(root, "other"), "");
  assert.equal(await currentCommit(root), undefined);
});
