import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import fs, { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import { join } from "node:path";
import { test } from "node:test";
import { Failure } from "../../os/failure.ts";
import { silentLog } from "../../os/log.ts";
import { temporaryDirectory } from "../../os/files/temporary.ts";
import { machinePaths, type MachinePaths } from "../../machines/layout.ts";
import { MachineLock, holdsLock, peekHolder, readHolder, tryMachineLock } from "../../machines/locks.ts";
import { takeToolchainLock, type ToolchainLock } from "../../machines/toolchain-lock.ts";
import { isRunning } from "../fixtures/processes.ts";
import { patienceMs } from "../fixtures/patience.ts";

async function place() {
  const directory = await temporaryDirectory("croft-test-locks-");
  const paths = machinePaths(directory.path, "v", "m", "gcc");
  await mkdir(paths.directory, { recursive: true });
  const toolchainLock = await takeToolchainLock("", silentLog());
  return Object.assign(directory, { paths, toolchainLock });
}

function lock(toolchainLock: ToolchainLock, paths: MachinePaths): MachineLock {
  const got = tryMachineLock(toolchainLock, paths);
  assert.ok(got instanceof MachineLock);
  return got;
}

/** A shell that holds the lock by flock(1) until it is killed. */
async function shellHolding(path: string) {
  const holder = spawn("flock", [path, "sh", "-c", "echo held; exec sleep 60"], {
    stdio: ["ignore", "pipe", "inherit"],
    detached: true,
  });
  await once(holder.stdout, "data");
  return {
    [Symbol.asyncDispose]: async () => {
      if (holder.exitCode === null && holder.signalCode === null) {
        process.kill(-holder.pid!, "SIGKILL");
        await once(holder, "close");
      }
    },
  };
}

test("a machine lock says who holds it, and for what", async () => {
  await using at = await place();
  const { paths, toolchainLock } = at;
  using held = lock(toolchainLock, paths);
  assert.deepEqual(tryMachineLock(toolchainLock, paths), {}, "nothing was written yet");
  held.write(toolchainLock);
  assert.deepEqual(tryMachineLock(toolchainLock, paths), { pid: process.pid });
  held.write(toolchainLock, 111);
  assert.equal(readFileSync(paths.lock, "utf8"), `${process.pid} 0111`);
  assert.deepEqual(tryMachineLock(toolchainLock, paths), { pid: process.pid, priority: 111 });
  held.truncate();
  assert.deepEqual(tryMachineLock(toolchainLock, paths), { pid: process.pid });
  assert.equal(readFileSync(paths.lock, "utf8"), String(process.pid));
});

test("releasing empties the file and leaves it; releasing twice is harmless", async () => {
  await using at = await place();
  const held = lock(at.toolchainLock, at.paths);
  held.write(at.toolchainLock, 19999);
  held[Symbol.dispose]();
  assert.equal(readFileSync(at.paths.lock, "utf8"), "");
  using other = lock(at.toolchainLock, at.paths);
  held[Symbol.dispose]();
  assert.deepEqual(tryMachineLock(at.toolchainLock, at.paths), {}, "the other lock is still held");
  other[Symbol.dispose]();
});

test("the line of a holder that crashed is removed by the next one", async () => {
  await using at = await place();
  writeFileSync(at.paths.lock, "12345 0001");
  using _held = lock(at.toolchainLock, at.paths);
  assert.equal(readFileSync(at.paths.lock, "utf8"), "");
});

test("a lock cannot be tried or written once the toolchain lock is released", async () => {
  await using at = await place();
  using held = lock(at.toolchainLock, at.paths);
  at.toolchainLock[Symbol.dispose]();
  assert.throws(() => held.write(at.toolchainLock, 1), /not held any more/);
  assert.throws(() => tryMachineLock(at.toolchainLock, at.paths), /not held any more/);
});

test("a lock held by flock(1) from a shell is busy, its holder unknown, whatever the file says", async () => {
  await using at = await place();
  for (const content of [
    "",
    "hello\n",
    "0",
    "-1 5",
    "99999999999 1",
    "1 2 3",
    `${process.pid} 0100`,
    `${process.pid}`,
  ]) {
    writeFileSync(at.paths.lock, content);
    await using _shell = await shellHolding(at.paths.lock);
    assert.deepEqual(tryMachineLock(at.toolchainLock, at.paths), {}, JSON.stringify(content));
    assert.equal(readFileSync(at.paths.lock, "utf8"), content, "only a holder writes");
  }
});

test("removing the lock file of a holder does not split the lock of those who come after", async () => {
  await using at = await place();
  using held = lock(at.toolchainLock, at.paths);
  rmSync(at.paths.lock);
  using next = lock(at.toolchainLock, at.paths);
  assert.ok(!(tryMachineLock(at.toolchainLock, at.paths) instanceof MachineLock));
  held[Symbol.dispose]();
  assert.ok(existsSync(at.paths.lock));
  assert.ok(!(tryMachineLock(at.toolchainLock, at.paths) instanceof MachineLock));
  next[Symbol.dispose]();
});

test("a lock of a machine that is gone is a failure that says so", async () => {
  await using at = await place();
  const gone = machinePaths(at.path, "v", "gone", "gcc");
  assert.throws(
    () => tryMachineLock(at.toolchainLock, gone),
    (error: unknown) => error instanceof Failure && (error.cause as NodeJS.ErrnoException).code === "ENOENT",
  );
  assert.deepEqual(readHolder(gone.lock), {});
});

test("killing a holder frees the machine and the toolchain lock at once", async () => {
  await using at = await place();
  const toolchainPath = join(at.path, "toolchain.lock");
  const script = `
    import { takeToolchainLock } from ${JSON.stringify(join(import.meta.dirname, "../../machines/toolchain-lock.ts"))};
    import { tryMachineLock } from ${JSON.stringify(join(import.meta.dirname, "../../machines/locks.ts"))};
    import { silentLog } from ${JSON.stringify(join(import.meta.dirname, "../../os/log.ts"))};
    const toolchain = await takeToolchainLock(${JSON.stringify(toolchainPath)}, silentLog());
    const machine = tryMachineLock(toolchain, ${JSON.stringify(at.paths)});
    machine.write(toolchain, 2100);
    process.stdout.write("held");
    setInterval(() => {}, 1000);`;
  const holder = spawn(process.execPath, ["--input-type=module", "-e", script], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  await once(holder.stdout, "data");
  assert.deepEqual(tryMachineLock(at.toolchainLock, at.paths), { pid: holder.pid, priority: 2100 });
  assert.ok(holdsLock(holder.pid!, at.paths.lock));
  assert.ok(!holdsLock(process.pid, at.paths.lock));
  await assert.rejects(takeToolchainLock(toolchainPath, silentLog(), AbortSignal.timeout(300)));
  holder.kill("SIGKILL");
  await once(holder, "close");
  assert.ok(!isRunning(holder.pid!));
  using _toolchain = await takeToolchainLock(toolchainPath, silentLog(), AbortSignal.timeout(patienceMs));
  using machine = lock(at.toolchainLock, at.paths);
  assert.equal(readFileSync(machine.paths.lock, "utf8"), "");
});

test("whoever waits for the toolchain lock gets it when it is released", async () => {
  await using at = await place();
  const path = join(at.path, "toolchain.lock");
  const first = await takeToolchainLock(path, silentLog());
  const second = takeToolchainLock(path, silentLog(), AbortSignal.timeout(patienceMs));
  first[Symbol.dispose]();
  first[Symbol.dispose]();
  using lock = await second;
  lock.assertHeld();
  assert.ok(existsSync(path));
});

test("a relative toolchain lock is refused as wrong usage", async () => {
  await assert.rejects(takeToolchainLock("croft.lock", silentLog()), (error: unknown) => {
    assert.ok(error instanceof Failure);
    assert.equal(error.exitStatus, 2);
    return true;
  });
});

test("from outside it is seen who holds a machine, if the kernel knows; and that nobody does", async () => {
  await using at = await place();
  const { paths, toolchainLock } = at;
  assert.equal(peekHolder(paths.lock), undefined, "there is no file");
  const held = lock(toolchainLock, paths);
  assert.deepEqual(peekHolder(paths.lock), {}, "nothing was written yet");
  held.write(toolchainLock, 12);
  assert.deepEqual(peekHolder(paths.lock), { pid: process.pid, priority: 12 });
  held[Symbol.dispose]();
  assert.equal(peekHolder(paths.lock), undefined);
  await using _shell = await shellHolding(paths.lock);
  assert.deepEqual(peekHolder(paths.lock), {});
});

test("nobody holds the lock of what is not there; a file that cannot be read is a failure", async () => {
  await using at = await place();
  writeFileSync(join(at.path, "file"), "");
  for (const path of [join(at.path, "none", "lock"), join(at.path, "file", "lock")]) {
    assert.equal(holdsLock(process.pid, path), false);
    assert.deepEqual(readHolder(path), {});
  }
  const loop = join(at.path, "loop");
  fs.symlinkSync("loop", loop);
  assert.throws(() => holdsLock(process.pid, loop), /^Failure: Cannot read lock '.*loop': /);
  assert.throws(() => readHolder(loop), /^Failure: Cannot read lock '.*loop': /);
});

test("a line that cannot be written or shortened is a failure, and the lock can be released all the same", async (t) => {
  await using at = await place();
  const held = lock(at.toolchainLock, at.paths);
  held.write(at.toolchainLock, 7);
  t.mock.method(fs, "ftruncateSync", () => {
    throw Object.assign(new Error("no space left on device"), { code: "ENOSPC" });
  });
  syncBuiltinESMExports();
  try {
    const failure = (verb: string) => ({
      message: new RegExp(`^Cannot ${verb} machine lock '.*m-gcc\\.lock': `),
    });
    assert.throws(() => held.write(at.toolchainLock, 8), failure("write"));
    assert.throws(() => held.truncate(), failure("truncate"));
    held[Symbol.dispose]();
  } finally {
    t.mock.restoreAll();
    syncBuiltinESMExports();
  }
  using next = lock(at.toolchainLock, at.paths);
  assert.equal(readFileSync(next.paths.lock, "utf8"), "", "the next one has removed the line");
});
