import assert from "node:assert/strict";
import { test } from "node:test";
import { machineCommand } from "../../../machines/commands/command.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";

test("what croft machine makes nobody else may change, with umask 0, and a closer umask stays", async () => {
  await using directory = await temporaryDirectory("croft-test-umask-");
  for (const [umask, expected] of [
    [0, 0o022],
    [0o077, 0o077],
  ] as const) {
    const former = process.umask(umask);
    try {
      const argv = ["show", "none", "--machines", directory.path];
      await assert.rejects(machineCommand().parseAsync(argv, { from: "user" }));
      assert.equal(process.umask(), expected);
    } finally {
      process.umask(former);
    }
  }
});
