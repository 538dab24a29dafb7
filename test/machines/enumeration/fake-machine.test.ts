import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { Failure } from "../../../os/failure.ts";
import { silentLog } from "../../../os/log.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";
import { fakeEnumeration } from "../../../machines/enumeration/fake-machine.ts";
import { takeToolchainLock } from "../../../machines/toolchain-lock.ts";

test("a fake machine is ready, and its lock locks nothing", async () => {
  await using directory = await temporaryDirectory("croft-test-fake-");
  const file = join(directory.path, "header");
  writeFileSync(file, ": 1\nid: fake-1\nname: fake\nsummary: A fake\nram-minimum: 1024\n");
  await using found = fakeEnumeration(file, { name: "gcc", id: "" });
  const [machine, ...others] = found.machines;
  assert.deepEqual(others, []);
  assert.ok(machine?.state === "locked");
  assert.deepEqual(machine.manifest, {
    machine: {
      id: "fake-1",
      name: "fake",
      summary: "A fake",
      ramMinimumKiB: 1024,
      type: "kvm",
      mac: "de:ad:be:ef:de:ad",
    },
    toolchain: { id: "bogus" },
    bootstrap: { versions: {} },
  });
  using toolchainLock = await takeToolchainLock("", silentLog());
  using lock = found.take(machine);
  lock.write(toolchainLock, 100);
  lock.truncate();
});

test("a fake machine that is malformed or missing is a failure", async () => {
  await using directory = await temporaryDirectory("croft-test-fake-");
  const file = join(directory.path, "header");
  assert.throws(() => fakeEnumeration(file, { name: "gcc", id: "" }), Failure);
  writeFileSync(file, ": 1\nid: fake-1\nname: fake\nsummary: A fake\ntype: kvm\n");
  assert.throws(
    () => fakeEnumeration(file, { name: "gcc", id: "" }),
    (error: unknown) => error instanceof Failure && error.message.includes(`${file}:5:1: `),
  );
});
