import assert from "node:assert/strict";
import { readFile, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { guestWorker } from "../../os/files/guest-worker.ts";
import { packageFile } from "../../os/files/package.ts";
import { run } from "../../os/run.ts";
import { temporaryDirectory, type TemporaryDirectory } from "../../os/files/temporary.ts";
import { isVersion } from "../../manifests/version.ts";

const parts = packageFile("worker", "guest", "parts");
let directory: TemporaryDirectory;
let scripts: string[];

before(async () => {
  directory = await temporaryDirectory("croft-test-");
  const worker = join(directory.path, "croft-worker");
  await writeFile(worker, await guestWorker());
  scripts = [worker, packageFile("worker", "guest", "croft-init")];
});
after(() => directory[Symbol.asyncDispose]());

test("the scripts that run in a machine are clean in the eyes of shellcheck", async () => {
  await run(["shellcheck", "--shell=sh", ...scripts], { timeoutSeconds: 300 });
});

test("so is each part of the worker, but for what it has from the others", async () => {
  const files = (await readdir(parts))
    .filter((name) => name.endsWith(".sh"))
    .map((name) => join(parts, name));
  // Variables that are set or used elsewhere.
  const exclude = "--exclude=SC2034,SC2154";
  await run(["shellcheck", "--shell=sh", exclude, ...files], { timeoutSeconds: 300 });
});

test("every shell reads them", async () => {
  for (const script of scripts)
    for (const shell of [["dash"], ["bash", "--posix"], ["busybox", "sh"]])
      await run([...shell, "-n", script], { timeoutSeconds: 300 });
});

test("the worker has a version line that is a semantic version", async () => {
  const [, version] = /^croft_worker_version="([^"]+)"$/m.exec(await readFile(scripts[0]!, "utf8")) ?? [];
  assert.ok(version !== undefined && isVersion(version));
});
