/** Nothing of a demo outlives it: tried on its parts, each in a process that is killed. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { temporaryDirectory } from "../../os/files/temporary.ts";
import { isRunning } from "../fixtures/processes.ts";
import { lockFile } from "../setup/lock.js";
import { openState } from "./state.ts";
import { patienceMs } from "../fixtures/patience.ts";

const here = import.meta.dirname;

/** Runs a module's text in a process of its own, until it has printed a line. */
async function start(directory: string, text: string, env: NodeJS.ProcessEnv = {}) {
  const file = join(directory, "script.ts");
  await writeFile(file, text);
  const child = spawn(process.execPath, [file], {
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, ...env },
  });
  const { value } = await createInterface({ input: child.stdout })[Symbol.asyncIterator]().next();
  return { child, line: value as string };
}

async function until(condition: () => boolean, what: string): Promise<void> {
  for (const deadline = Date.now() + patienceMs; !condition(); await delay(50))
    assert.ok(Date.now() < deadline, `in vain: ${what}`);
}

test("a service ends when the demo is killed", async () => {
  await using directory = await temporaryDirectory("croft-test-demo-");
  const data = join(directory.path, "data");
  const log = join(directory.path, "log");
  const { child, line } = await start(
    directory.path,
    `import { startService } from "${here}/service.ts";
     startService("controller", ["controller", "--data", "${data}", "--listen", "127.0.0.1:0"], "${log}");
     console.log(process.pid);
     setInterval(() => {}, 1000);`,
  );
  await until(() => readFileSync(log, "utf8").includes("croft controller: http"), "it listens");
  const children = readFileSync(`/proc/${line}/task/${line}/children`, "utf8").trim().split(" ").map(Number);
  assert.equal(children.length, 1);
  child.kill("SIGKILL");
  await until(() => !isRunning(children[0]!), "the controller has ended");
});

test("what is mounted in the demo's namespace is not seen outside, and goes with it", async () => {
  await using directory = await temporaryDirectory("croft-test-demo-");
  const point = join(directory.path, "point");
  await mkdir(point);
  const { child, line } = await start(
    directory.path,
    `import { execFileSync } from "node:child_process";
     import { enterNamespace } from "${here}/namespace.ts";
     if (!enterNamespace()) throw new Error("no namespace");
     execFileSync("mount", ["-t", "tmpfs", "croft-test", "${point}"]);
     console.log(process.pid);
     setInterval(() => {}, 1000);`,
  );
  const mounts = (pid: string) => readFileSync(`/proc/${pid}/mounts`, "utf8");
  assert.equal(Number(line), child.pid);
  assert.match(mounts(line), /^croft-test /m);
  assert.doesNotMatch(mounts("self"), /^croft-test /m);
  child.kill("SIGKILL");
  await until(() => !isRunning(child.pid!), "it has ended");
});

test("a demo ends when npm is killed", async () => {
  await using directory = await temporaryDirectory("croft-test-demo-");
  const { child, line } = await start(
    directory.path,
    `import { spawn } from "node:child_process";
     const text = 'import { endWithNpm } from "${here}/parent.ts"; endWithNpm(); console.log(process.pid);' +
       'setInterval(() => {}, 1000);';
     spawn(process.execPath, ["--input-type=module-typescript", "-e", text], { stdio: ["ignore", "inherit", "inherit"] });`,
    { npm_lifecycle_event: "demo" },
  );
  assert.ok(isRunning(Number(line)));
  child.kill("SIGKILL");
  await until(() => !isRunning(Number(line)), "it has ended");
});

test("a second demo of a clone is told of the first, and leaves its files alone", async () => {
  await using directory = await temporaryDirectory("croft-test-demo-");
  await writeFile(join(directory.path, "machines.img"), "in use");
  await mkdir(join(directory.path, "logs"));
  await writeFile(join(directory.path, "logs/agent.log"), "of the first");
  const lock = join(directory.path, "lock");
  const held = await lockFile(lock, "exclusive");
  const first = spawn(process.execPath, ["-e", "setTimeout(() => {}, 60_000)", "test/demo/main.ts"], {
    stdio: ["ignore", "ignore", "ignore", held!.fd],
  });
  held!.release();
  try {
    await assert.rejects(
      openState(false, AbortSignal.timeout(patienceMs), directory.path),
      (error: Error) => {
        assert.match(error.message, /another one of this clone runs/);
        return true;
      },
    );
    assert.equal(readFileSync(join(directory.path, "logs/agent.log"), "utf8"), "of the first");
  } finally {
    first.kill("SIGKILL");
  }
});

test("what is left of a killed demo's run is removed by the next, its machine kept", async () => {
  await using directory = await temporaryDirectory("croft-test-demo-");
  await mkdir(join(directory.path, "run/spool"), { recursive: true });
  await mkdir(join(directory.path, "machines/demo/debian"), { recursive: true });
  {
    await using state = await openState(false, AbortSignal.timeout(patienceMs), directory.path);
    assert.equal(state.storage, "directory");
    assert.throws(() => readFileSync(join(state.run, "spool")), { code: "ENOENT" });
    assert.throws(() => readFileSync(join(state.machines, "demo/debian")), { code: "EISDIR" });
  }
  assert.throws(() => readFileSync(join(directory.path, "run")), { code: "ENOENT" });
});
