// Locks of the preparation, for any Node.js from 18 on and before anything is installed: flock(1) locks a
// descriptor of ours, and the lock goes with that descriptor, however this process ends.
import { spawn } from "node:child_process";
import {
  closeSync,
  mkdirSync,
  openSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  realpathSync,
} from "node:fs";
import { dirname } from "node:path";

/**
 * Locks a file, made if it is not there.
 *
 * @param {string} path
 * @param {"shared" | "exclusive"} mode
 * @param {{ wait?: boolean }} [options] `wait`: until whoever holds it lets go
 * @returns {Promise<{ fd: number, release(): void } | undefined>} undefined if it is held and not waited for.
 * A child that is given `fd` keeps the lock for as long as it lives.
 */
export async function lockFile(path, mode, { wait = false } = {}) {
  mkdirSync(dirname(path), { recursive: true });
  const fd = openSync(path, "a+");
  const args = [`--${mode}`, ...(wait ? [] : ["--nonblock"]), "3"];
  const status = await new Promise((resolve, reject) => {
    const child = spawn("flock", args, { stdio: ["ignore", "ignore", "inherit", fd] });
    const end = () => child.kill(); // it may be waiting still
    process.once("exit", end);
    child.once("error", (error) => reject(new Error(`flock(1) of util-linux is needed: ${error.message}`)));
    child.once("close", (code) => {
      process.off("exit", end);
      resolve(code);
    });
  });
  if (status !== 0) closeSync(fd);
  if (status === 1 && !wait) return undefined;
  if (status !== 0) throw new Error(`Cannot lock '${path}': flock ended with status ${status}`);
  let held = true;
  return {
    fd,
    release() {
      if (held) closeSync(fd);
      held = false;
    },
  };
}

/**
 * The processes that have a file open, as `PID (command line)`, for saying who is in the way.
 *
 * @param {string} path
 */
export function holdersOf(path) {
  const file = realpathSync(path);
  const holders = [];
  for (const pid of readdirSync("/proc").filter(
    (name) => /^\d+$/.test(name) && name !== String(process.pid),
  )) {
    try {
      const open = readdirSync(`/proc/${pid}/fd`).some((fd) => linkOf(`/proc/${pid}/fd/${fd}`) === file);
      if (open) holders.push(`${pid} (${commandOf(pid)})`);
    } catch {
      // ended meanwhile, or another user's
    }
  }
  return holders;
}

/** The start of a process's command line. @param {string} pid */
function commandOf(pid) {
  return readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0").join(" ").trim().slice(0, 160);
}

/** @param {string} path */
function linkOf(path) {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}
