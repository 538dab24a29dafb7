/** bin/croft.js under the Node.js of this run and under an older one where there is one. */
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { copyFile, mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { packageFile } from "../../os/files/package.ts";
import { isRunning } from "../fixtures/processes.ts";
import { temporaryDirectory } from "../../os/files/temporary.ts";
import { patienceMs } from "../fixtures/patience.ts";

/** A croft whose command tells its pid and each SIGUSR1 and SIGUSR2, and ends with status 7 at SIGINT. */
const command = `
process.on("SIGUSR1", () => console.log("USR1"));
process.on("SIGUSR2", () => console.log("USR2"));
process.on("SIGINT", () => process.exit(7));
setInterval(() => {}, 1000);
console.log(JSON.stringify({ pid: process.pid, version: process.version, args: process.argv.slice(2) }));
`;

async function makePackage() {
  const directory = await temporaryDirectory("croft-test-launcher-");
  await mkdir(join(directory.path, "bin"));
  await writeFile(join(directory.path, "package.json"), `{"type":"module"}`);
  await writeFile(join(directory.path, "bin/main.ts"), command);
  await copyFile(packageFile("bin/croft.js"), join(directory.path, "bin/croft.js"));
  await symlink(packageFile("node_modules"), join(directory.path, "node_modules"));
  return directory;
}

/** Every Node.js to launch with: this one, and the first in PATH that does not come from node_modules. */
const runtimes = [process.execPath];
const foreign = (process.env["PATH"] ?? "")
  .split(":")
  .filter((directory) => !directory.includes("node_modules"))
  .map((directory) => join(directory, "node"))
  .find((file) => existsSync(file));
if (foreign !== undefined) runtimes.push(foreign);

for (const runtime of runtimes) {
  const version = execFileSync(runtime, ["--version"], { encoding: "utf8" }).trim();

  const launch = async (directory: string) => {
    const child = spawn(runtime, [join(directory, "bin/croft.js"), "a b", ""], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    const next = async () => (await lines.next()).value as string;
    const told = JSON.parse(await next()) as { pid: number; version: string; args: string[] };
    return { child, told, next, ended: once(child, "exit") };
  };

  test(`started under ${version}: arguments, signals and exit status pass through`, async () => {
    await using directory = await makePackage();
    const { child, told, next, ended } = await launch(directory.path);
    assert.deepEqual(told.args, ["a b", ""]);
    assert.ok(Number(told.version.slice(1).split(".")[0]) >= 24, told.version);
    child.kill("SIGUSR1");
    assert.equal(await next(), "USR1");
    child.kill("SIGUSR2");
    assert.equal(await next(), "USR2");
    child.kill("SIGINT");
    assert.deepEqual(await ended, [7, null]);
  });

  test(`started under ${version}: ended by a signal, it ends by that signal`, async () => {
    await using directory = await makePackage();
    const { child, told, ended } = await launch(directory.path);
    child.kill("SIGTERM");
    assert.deepEqual(await ended, [null, "SIGTERM"]);
    assert.equal(isRunning(told.pid), false);
  });

  test(`started under ${version}: killed, it leaves no command behind`, async () => {
    await using directory = await makePackage();
    const { child, told, ended } = await launch(directory.path);
    child.kill("SIGKILL");
    await ended;
    const deadline = Date.now() + patienceMs;
    while (isRunning(told.pid) && Date.now() < deadline) await delay(20);
    assert.equal(isRunning(told.pid), false);
  });
}
