// What the preparation runs and shows: nothing for what is quick, the elapsed time for what is not.
import { spawn } from "node:child_process";
import { appendFileSync, closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";

/** A step is announced once it has taken this long, in milliseconds. */
const quiet = 2000;

/**
 * Shows that something goes on: on a terminal a line with the elapsed seconds, elsewhere a line now and then.
 *
 * @template T
 * @param {string} title
 * @param {() => Promise<T>} action
 * @param {{ stream?: NodeJS.WriteStream, every?: number }} [options] `every`: seconds between the lines of a
 * stream that is no terminal
 * @returns {Promise<T>}
 */
export async function showing(title, action, { stream = process.stderr, every = 15 } = {}) {
  const began = Date.now();
  const seconds = () => Math.round((Date.now() - began) / 1000);
  const terminal = stream.isTTY === true;
  let shown = 0;
  const timer = setInterval(() => {
    if (Date.now() - began < quiet) return;
    if (terminal) stream.write(`\r\x1b[K${title} … ${seconds()} s`);
    else if (shown === 0 || seconds() >= shown + every) stream.write(`${title} … ${(shown = seconds())} s\n`);
  }, 500);
  try {
    const result = await action();
    if (Date.now() - began >= quiet)
      stream.write(`${terminal ? "\r\x1b[K" : ""}${title}: done in ${seconds()} s\n`);
    return result;
  } catch (error) {
    if (terminal) stream.write("\r\x1b[K");
    throw error;
  } finally {
    clearInterval(timer);
  }
}

/**
 * Runs a program to its end with its output in a log file.
 *
 * @param {string[]} argv
 * @param {{ log: string, env?: NodeJS.ProcessEnv, cwd?: string, keep?: number[] }} options `keep`: descriptors,
 * such as locks, that the program keeps open
 * @throws {Error} with the end of the output if the exit status is not 0.
 */
export async function runLogged([program, ...args], { log, env = process.env, cwd, keep = [] }) {
  mkdirSync(dirname(log), { recursive: true });
  appendFileSync(log, `\n$ ${program} ${args.join(" ")}\n`);
  const from = readFileSync(log).length;
  const out = openSync(log, "a");
  // A group of its own: a terminal's Ctrl-C must not tear a package manager from under its own clean-up.
  const child = spawn(program, args, { cwd, env, detached: true, stdio: ["ignore", out, out, ...keep] });
  closeSync(out);
  const stop = (signal) => {
    if (child.pid !== undefined) process.kill(-child.pid, "SIGTERM");
    process.exitCode = signal === "SIGINT" ? 130 : 143;
  };
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"];
  for (const signal of signals) process.on(signal, stop);
  try {
    const [status, by] = await new Promise((resolve, reject) => {
      child.once("error", reject);
      child.once("close", (...end) => resolve(end));
    });
    if (status === 0) return;
    const tail = readFileSync(log).subarray(from).toString().trimEnd().split("\n").slice(-30).join("\n  ");
    throw new Error(
      `'${[program, ...args].join(" ")}' ended with ${by ?? `status ${status}`}:\n  ${tail}\nAll of it: ${log}`,
    );
  } finally {
    for (const signal of signals) process.off(signal, stop);
  }
}

/** Starts the log of one preparation anew. @param {string} log */
export function startLog(log) {
  mkdirSync(dirname(log), { recursive: true });
  writeFileSync(log, "");
}
