import assert from "node:assert/strict";
import { test } from "node:test";
import {
  checkMachineName,
  checkToolchainName,
  classifyEntry,
  isRemoved,
  removedName,
} from "../../machines/names.ts";

test("toolchain names that could be taken for a revision, an instance, or a lock are refused", () => {
  for (const name of ["default", "gcc_12", "clang++", "v1.2", "_", "lock", "a.lock.b"])
    assert.equal(checkToolchainName(name), undefined, name);
  for (const name of [
    "",
    "1",
    "1.2",
    "a-b",
    "a-1",
    "-a",
    ".a",
    "+a",
    "a.lock",
    "a/b",
    "a b",
    "ä",
    "a\n",
    "a".repeat(101),
  ])
    assert.notEqual(checkToolchainName(name), undefined, JSON.stringify(name));
});

test("machine names are names of visible directories without separators", () => {
  for (const name of ["debian_12-gcc_12", "linux+musl", "a.b", "1"])
    assert.equal(checkMachineName(name), undefined);
  for (const name of ["", ".", "..", ".a", "a/b", "a b", "a\n", "a:b"])
    assert.notEqual(checkMachineName(name), undefined);
});

test("every entry of a machine's directory is exactly what it was named as", () => {
  const machine = "debian_12-1-gcc";
  assert.deepEqual(classifyEntry(machine, `${machine}-1`), { kind: "current" });
  for (const revision of [0, 1, 10, 123456])
    assert.deepEqual(classifyEntry(machine, `${machine}-1.${revision}`), { kind: "revision", revision });
  for (const toolchain of ["default", "gcc_12.2", "a+b", "lock", "v1"]) {
    assert.deepEqual(classifyEntry(machine, `${machine}-${toolchain}`), { kind: "bootstrapped", toolchain });
    assert.deepEqual(classifyEntry(machine, `${machine}-${toolchain}.lock`), {
      kind: "lock",
      toolchain,
      copy: 1,
    });
    for (const instance of [1, 10, 99])
      assert.deepEqual(classifyEntry(machine, `${machine}-${toolchain}-${instance}-a1B2c3`), {
        kind: "temporary",
        toolchain,
        instance,
      });
  }
});

test("what is nothing of a machine's is left alone", () => {
  for (const entry of [
    "other-1",
    "m",
    "m-",
    "m-2",
    "m-2.1",
    "m-1.01",
    "m-1.x",
    "m-gcc-1-short",
    "m-gcc-0-abcdef",
    "notes",
    ".m",
  ])
    assert.equal(classifyEntry("m", entry), undefined, entry);
});

test("a tree that is being removed is known by its name", () => {
  const name = removedName("m-gcc");
  assert.ok(name.startsWith("."), "hidden");
  assert.ok(isRemoved(name));
  assert.deepEqual(classifyEntry("m", name), { kind: "removed" });
  for (const other of ["m-gcc", ".m-gcc", ".m-gcc.removed", "m-gcc.abcdef.removed"])
    assert.ok(!isRemoved(other), other);
});
