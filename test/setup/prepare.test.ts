import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { temporaryDirectory } from "../../os/files/temporary.ts";
import { missingPackages, purposes } from "./debian.js";
import { holdersOf, lockFile } from "./lock.js";
import { installModules, modulesAreCurrent, modulesLock } from "./modules.js";

const entry = { version: "1.0.0", integrity: "sha512-x" };

/** A clone with a lock file, and an npm that counts its calls and installs what the lock file says. */
async function makeClone() {
  const directory = await temporaryDirectory("croft-test-prepare-");
  const root = directory.path;
  const npm = join(root, "npm");
  await writeFile(
    npm,
    `#!/bin/sh\nset -e\necho "$@" >> calls\nsleep 0.2\nrm -rf node_modules\nmkdir node_modules\ncp package-lock.json node_modules/.package-lock.json\n`,
    { mode: 0o755 },
  );
  const lock = (version: string) =>
    writeFile(
      join(root, "package-lock.json"),
      JSON.stringify({ packages: { "": {}, "node_modules/a": { ...entry, version } } }),
    );
  await lock("1.0.0");
  return {
    root,
    lock,
    install: () => installModules(root, { log: join(root, "log"), install: [npm] }),
    calls: async () => (await readFile(join(root, "calls"), "utf8")).trim().split("\n"),
    [Symbol.asyncDispose]: () => directory[Symbol.asyncDispose](),
  };
}

test("modules are installed once, and again only when the lock file changes", async () => {
  await using clone = await makeClone();
  assert.equal(modulesAreCurrent(clone.root), false);
  await clone.install();
  await clone.install();
  assert.deepEqual(await clone.calls(), ["ci --ignore-scripts --no-audit --no-fund"]);
  await clone.lock("1.0.1");
  assert.equal(modulesAreCurrent(clone.root), false);
  await clone.install();
  assert.equal((await clone.calls()).length, 2);
});

test("an installation that was cut off is made again", async () => {
  await using clone = await makeClone();
  await clone.install();
  await rm(join(clone.root, "node_modules/.croft-stamp"));
  await rm(join(clone.root, "node_modules/.package-lock.json"));
  await clone.install();
  assert.equal((await clone.calls()).length, 2);
});

test("modules installed by hand count if npm's own record fits", async () => {
  await using clone = await makeClone();
  const { root } = clone;
  await mkdir(join(root, "node_modules"));
  const other = { version: "1.0.0", optional: true, os: ["aix"] };
  const packages = { "": {}, "node_modules/a": entry, "node_modules/b": other };
  await writeFile(join(root, "package-lock.json"), JSON.stringify({ packages }));
  const record = join(root, "node_modules/.package-lock.json");
  await writeFile(record, JSON.stringify({ packages: { "node_modules/a": { ...entry, version: "0.9.0" } } }));
  assert.equal(modulesAreCurrent(root), false);
  await writeFile(record, JSON.stringify({ packages: { "node_modules/a": entry } }));
  assert.equal(modulesAreCurrent(root), true);
});

test("modules in use are not replaced, and the message names the user", async () => {
  await using clone = await makeClone();
  const path = modulesLock(clone.root);
  await mkdir(join(clone.root, ".cache"));
  const demo = spawn("flock", ["--no-fork", "--shared", path, "sh", "-c", "echo held; exec sleep 60"], {
    detached: true,
  });
  try {
    await once(demo.stdout, "data");
    await assert.rejects(clone.install(), (error: Error) => {
      assert.match(error.message, /a demo or a test run of this clone is using them/);
      assert.ok(error.message.includes(String(demo.pid)), error.message);
      return true;
    });
    assert.equal(modulesAreCurrent(clone.root), false);
  } finally {
    process.kill(-demo.pid!, "SIGKILL");
  }
  await once(demo, "exit");
  await clone.install();
  assert.equal(modulesAreCurrent(clone.root), true);
});

test("a failed installation leaves no stamp and shows the end of npm's output", async () => {
  await using clone = await makeClone();
  await writeFile(join(clone.root, "npm"), "#!/bin/sh\necho no space; exit 3\n");
  await assert.rejects(clone.install(), /ended with status 3:\n {2}no space\nAll of it: .*log/);
  assert.equal(modulesAreCurrent(clone.root), false);
});

test("an exclusive lock excludes, shared ones do not, and all go with their holder", async () => {
  await using directory = await temporaryDirectory("croft-test-lock-");
  const path = join(directory.path, "lock");
  const first = await lockFile(path, "shared");
  const second = await lockFile(path, "shared");
  assert.equal(await lockFile(path, "exclusive"), undefined);
  first!.release();
  first!.release();
  assert.equal(await lockFile(path, "exclusive"), undefined);
  second!.release();
  const holder = spawn("flock", ["--no-fork", path, "sh", "-c", "echo held; exec sleep 60"], {
    detached: true,
  });
  await once(holder.stdout, "data");
  assert.equal(holdersOf(path).length >= 1, true);
  const waited = lockFile(path, "exclusive", { wait: true });
  process.kill(-holder.pid!, "SIGKILL");
  (await waited)!.release();
});

test("a child that is given the lock keeps it", async () => {
  await using directory = await temporaryDirectory("croft-test-lock-");
  const path = join(directory.path, "lock");
  const lock = await lockFile(path, "exclusive");
  const child = spawn("sleep", ["60"], { stdio: ["ignore", "ignore", "ignore", lock!.fd] });
  await once(child, "spawn");
  lock!.release();
  assert.equal(await lockFile(path, "exclusive"), undefined);
  const ended = once(child, "exit");
  child.kill("SIGKILL");
  await ended;
  (await lockFile(path, "exclusive"))!.release();
});

test("a package is missing if neither it nor all of its programs are there", () => {
  const wanted = {
    "croft-test-no-package-a": ["node"],
    "croft-test-no-package-b": ["node", "croft-test-no-program"],
  };
  assert.deepEqual(missingPackages(wanted), ["croft-test-no-package-b"]);
  assert.deepEqual(missingPackages(purposes.check), []);
});
