/** How an idle agent learns that another one has taken a machine, or is done with it. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { MachineWatch } from "../../../agent/asking/machine-watch.ts";
import { machinePaths } from "../../../machines/layout.ts";
import { MachineLock, tryMachineLock } from "../../../machines/locks.ts";
import { ToolchainLock } from "../../../machines/toolchain-lock.ts";
import { silentLog } from "../../../os/log.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";

test("a machine that is taken, freed or removed is noticed; one that is looked at is not", async () => {
  await using directory = await temporaryDirectory("croft-test-watch-");
  const lock = join(directory.path, "m-default.lock");
  const paths = { lock } as ReturnType<typeof machinePaths>;
  using toolchainLock = new ToolchainLock(undefined);
  const take = () => {
    const found = tryMachineLock(toolchainLock, paths);
    assert.ok(found instanceof MachineLock);
    return found;
  };
  const looks = () => take()[Symbol.dispose]();
  looks(); // makes the file
  let held: MachineLock | undefined;
  for (const change of [
    () => (held = take()).write(toolchainLock, 100),
    () => held!.truncate(),
    () => held![Symbol.dispose](),
    () => rmSync(lock),
  ]) {
    using watch = new MachineWatch([lock], silentLog());
    if (!held) looks();
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(watch.changed.aborted, false);
    const changed = once(watch.changed, "abort");
    change();
    await changed;
  }
});

test("what cannot be watched keeps nobody from waiting", () => {
  using watch = new MachineWatch(["/nowhere/m.lock"], silentLog());
  assert.equal(watch.changed.aborted, false);
});
