import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { run } from "../../../os/run.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";

test("processes that remove the lock file whenever they hold it never split the lock", async () => {
  await using directory = await temporaryDirectory("croft-test-");
  const script = join(import.meta.dirname, "lock-remover.ts");
  const argv = [process.execPath, script, join(directory.path, "lock"), "20000"];
  const both = await Promise.all([1, 2].map(() => run(argv, { timeoutSeconds: 300 })));
  assert.deepEqual(
    both.map(({ stdout }) => stdout),
    ["0\n", "0\n"],
  );
});
