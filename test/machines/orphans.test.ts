/** What a killed agent's programs still make when its successor begins. */
import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { removeStaleSnapshots } from "../../machines/stale.ts";
import { makeFarm, toolchain, type Farm } from "./farm.ts";

/** A copy that has been begun, and makes its target when it is told to: as one does for which a busy host has had no time. */
async function copy(to: string, program = "cp"): Promise<ChildProcess> {
  const work = 'echo begun; read -r _ && mkdir "$2"';
  const child = spawn("/bin/sh", ["-c", work, "--", "from", to], {
    argv0: program,
    stdio: ["pipe", "pipe", "inherit"],
  });
  await once(child.stdout!, "data");
  return child;
}

function removeStale({ directory, storage, log }: Farm): Promise<void> {
  return removeStaleSnapshots({ directory, toolchain, instance: 1, storage, log });
}

test("a copy that outlives its agent makes nothing when the successor has looked for what is left", async () => {
  await using farm = await makeFarm();
  await farm.publish("m");
  const { bootstrapped } = farm.paths("m");
  const left = await copy(`${bootstrapped}-1-abcdef`);
  await removeStale(farm);
  left.stdin!.on("error", () => {}).end("go on\n");
  if (left.exitCode === null && left.signalCode === null) await once(left, "exit");
  assert.equal(left.signalCode, "SIGKILL");
  assert.equal(existsSync(`${bootstrapped}-1-abcdef`), false);
});

test("other instances' copies go on, and so do copies of what belongs to nobody, and other programs", async () => {
  await using farm = await makeFarm();
  await farm.publish("m");
  const { bootstrapped, directory } = farm.paths("m");
  const others = [
    await copy(`${bootstrapped}-2-abcdef`),
    await copy(join(directory, "m-1.9")),
    await copy(join(farm.directory, "..", "m-gcc-1-abcdef")),
    await copy(`${bootstrapped}-1-abcdef`, "another"),
  ];
  await removeStale(farm);
  for (const other of others) {
    assert.deepEqual([other.exitCode, other.signalCode], [null, null]);
    other.stdin!.end();
    await once(other, "exit");
  }
});
