import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, statSync, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { tryLockFile } from "../../../os/files/flock.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";

test("a lock is held by one holder, and free when that lets go", async () => {
  await using directory = await temporaryDirectory("croft-test-");
  const path = join(directory.path, "lock");
  const first = tryLockFile(path);
  assert.ok(first);
  assert.equal(tryLockFile(path), undefined);
  first[Symbol.dispose]();
  first[Symbol.dispose]();
  using second = tryLockFile(path);
  assert.ok(second);
});

test("flock(1) takes part, and a holder that is killed lets go at once", async () => {
  await using directory = await temporaryDirectory("croft-test-");
  const path = join(directory.path, "lock");
  const holder = spawn("flock", [path, "sh", "-c", "echo held; exec sleep 60"], {
    stdio: ["ignore", "pipe", "inherit"],
    detached: true,
  });
  await once(holder.stdout, "data");
  assert.equal(tryLockFile(path), undefined);
  process.kill(-holder.pid!, "SIGKILL");
  await once(holder, "close");
  using ours = tryLockFile(path);
  assert.ok(ours);
});

test("a child process does not keep the lock alive", async () => {
  await using directory = await temporaryDirectory("croft-test-");
  const path = join(directory.path, "lock");
  const lock = tryLockFile(path)!;
  const child = spawn("sh", ["-c", "echo up; read line"], { stdio: ["pipe", "pipe", "inherit"] });
  await once(child.stdout, "data");
  lock[Symbol.dispose]();
  using again = tryLockFile(path);
  assert.ok(again);
  child.stdin.end("\n");
  await once(child, "close");
});

test("a lock file removed by others does not split the lock", async () => {
  await using directory = await temporaryDirectory("croft-test-");
  const path = join(directory.path, "lock");
  using old = tryLockFile(path);
  assert.ok(old);
  unlinkSync(path);
  using fresh = tryLockFile(path);
  assert.ok(fresh, "the path names another file now, and that one is free");
  assert.equal(tryLockFile(path), undefined);
});

test("a lock file is closed to others, who could lock it; also one that was open", async () => {
  await using directory = await temporaryDirectory("croft-test-");
  const [made, found] = [join(directory.path, "made"), join(directory.path, "found")];
  writeFileSync(found, "");
  chmodSync(found, 0o644);
  for (const path of [made, found]) {
    using _lock = tryLockFile(path);
    assert.equal(statSync(path).mode & 0o777, 0o600);
  }
});

test("a lock in a directory that is not there is one clear error", () => {
  assert.throws(
    () => tryLockFile("/nonexistent/lock"),
    /^Failure: Cannot open lock '\/nonexistent\/lock': no such file or directory$/,
  );
});
