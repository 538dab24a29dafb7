import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { packageFile } from "../../host/package.ts";
import { run } from "../../host/run.ts";
import { isVersion } from "../../manifests/version.ts";

const scripts = ["croft-worker", "croft-init"].map((name) => packageFile("worker", "guest", name));

test("the scripts that run in a machine are clean in the eyes of shellcheck", async () => {
  await run(["shellcheck", "--shell=sh", ...scripts], { timeoutSeconds: 60 });
});

test("every shell reads them", async () => {
  for (const script of scripts)
    for (const shell of [["dash"], ["bash", "--posix"], ["busybox", "sh"]])
      await run([...shell, "-n", script], { timeoutSeconds: 10 });
});

test("the worker has a version line that is a semantic version", async () => {
  const [, version] = /^croft_worker_version="([^"]+)"$/m.exec(await readFile(scripts[0]!, "utf8")) ?? [];
  assert.ok(version !== undefined && isVersion(version));
});
