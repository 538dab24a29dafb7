/** Somebody's working tree, built in a real machine that reaches nothing but its agent. */
import assert from "node:assert/strict";
import { chmod, mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { packageFile } from "../../../os/files/package.ts";
import { run } from "../../../os/run.ts";
import { startFarm, type Farm } from "../../fixtures/farm.ts";
import { patienceSeconds } from "../../fixtures/patience.ts";
import { script } from "../../worker/sources.ts";

let farm: Farm;

before(async () => {
  farm = await startFarm({ machine: "minimal", from: "kept", ramKiB: 256 * 1024 });
});
after(() => farm?.[Symbol.asyncDispose]());

const croft = (...args: string[]) =>
  run([process.execPath, packageFile("bin", "main.ts"), ...args, "--controller", farm.url], {
    timeoutSeconds: 2 * patienceSeconds,
    accept: [1, 2, 3],
  });

test("croft submit DIRECTORY builds what is there, committed or not; the same once more is skipped", async () => {
  const directory = join(farm.directory, "greeter");
  const at = (...names: string[]) => join(directory, ...names);
  const git = async (...args: string[]) => {
    const who = ["-c", "user.name=ann", "-c", "user.email=ann@x.org"];
    return (await run(["git", "-C", directory, ...who, ...args], { timeoutSeconds: 60 })).stdout.trim();
  };
  await mkdir(at(".croft"), { recursive: true });
  const update = script('cat greeting new link; echo "at $CROFT_COMMIT"; ls -A; ./new');
  await writeFile(at(".croft", "update"), update, { mode: 0o755 });
  await writeFile(at("greeting"), "committed\n");
  await writeFile(at(".gitignore"), "ignored\n");
  await git("init", "--quiet");
  await git("remote", "add", "origin", "https://git.example.org/ann/hello.git");
  await git("add", "--all");
  await git("commit", "--quiet", "--message", "one");
  const commit = await git("rev-parse", "HEAD");
  await writeFile(at("greeting"), "changed\n");
  await writeFile(at("new"), "#!/bin/sh\necho executed\n");
  await chmod(at("new"), 0o755);
  await symlink("greeting", at("link"));
  await writeFile(at("ignored"), "secret\n");
  await farm.startAgent();

  const { status, stdout, stderr } = await croft("submit", directory, "--wait");
  assert.equal(status, 0, `${stdout}${stderr}${await farm.log(1)}${await farm.agentTail()}`);
  assert.match(stdout, /^build 1, hello for default: .*\nbuild 1, hello\/0 for default: success after /);
  assert.match(stderr, new RegExp(`working tree 'hello' at commit ${commit} with changes: 5 files, `));
  const log = await farm.log(1);
  assert.match(log, new RegExp(`changed\n#!/bin/sh\necho executed\nchanged\nat ${commit}\n`));
  assert.match(log, /\n\.croft\n\.git\n\.gitignore\ngreeting\nlink\nnew\nexecuted\n/);
  const shown = new RegExp(`^ +repository +working tree 'hello' at commit ${commit} with changes$`, "m");
  assert.match((await croft("show", "1")).stdout, shown);

  assert.match((await croft("submit", directory, "--wait")).stdout, /^build 2, hello\/0 for default: skip/m);
});
