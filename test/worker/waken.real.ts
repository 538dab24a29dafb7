/** The program that a restored machine runs first: the worker has it as bytes. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { packageFile } from "../../os/files/package.ts";
import { temporaryDirectory } from "../../os/files/temporary.ts";
import { run } from "../../os/run.ts";

const part = packageFile("worker", "guest", "parts", "78-warm.sh");

for (const shell of [["dash"], ["bash", "--posix"], ["busybox", "sh"]])
  test(
    `as ${shell.join(" ")} writes it, it is what its source says, and runs`,
    { skip: process.arch !== "x64" },
    async () => {
      await using directory = await temporaryDirectory("croft-test-waken-");
      const at = (name: string) => join(directory.path, name);
      const source = packageFile("worker", "guest", "waken", "x86_64.s");
      await run(["as", "-o", at("waken.o"), source], { timeoutSeconds: 300 });
      await run(["objcopy", "-O", "binary", at("waken.o"), at("expected")], { timeoutSeconds: 300 });
      const script = `. ${part}; state=${directory.path}; write_waken`;
      await run([...shell, "-c", script], { timeoutSeconds: 300 });
      assert.deepEqual(await readFile(at("waken")), await readFile(at("expected")));
    },
  );

test("a machine of an architecture without it is not saved", async () => {
  await using directory = await temporaryDirectory("croft-test-waken-");
  const script = `. ${part}; state=${directory.path}; uname() { echo riscv64; }; write_waken || echo none`;
  const { stdout } = await run(["sh", "-c", script], { timeoutSeconds: 300 });
  assert.equal(stdout, "none\n");
});
