// A statically linked busybox: the worker is tested in root file systems that hold nothing else. Debian's package
// `busybox-static` has it; a host with the usual `busybox`, which excludes that package, keeps its own, and ours
// lies in `.cache`.
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { apt } from "./debian.js";
import { runLogged, showing } from "./steps.js";

/** Of the ELF program headers: the dynamic linker's name, which a static program has not. */
const interpreterSegment = 3;

/**
 * Path of a static busybox, if there is one: the host's, or the one in `.cache`.
 *
 * @param {string} root
 * @param {string} [path] where the host's programs are
 * @returns {string | undefined}
 */
export function staticBusybox(root, path = process.env.PATH ?? "") {
  const directories = path.split(":").filter((directory) => directory.startsWith("/"));
  const files = [
    join(cacheOf(root), "busybox"),
    ...directories.map((directory) => join(directory, "busybox")),
  ];
  return files.find((file) => existsSync(file) && isStatic(file));
}

/**
 * Whether a file is a program that needs no dynamic linker.
 *
 * @param {string} file
 */
export function isStatic(file) {
  const bytes = readFileSync(file);
  if (bytes.length < 64 || bytes.toString("latin1", 0, 4) !== "\x7fELF") return false;
  const wide = bytes[4] === 2;
  const little = bytes[5] === 1;
  const half = (at) => (little ? bytes.readUInt16LE(at) : bytes.readUInt16BE(at));
  const word = (at) => (little ? bytes.readUInt32LE(at) : bytes.readUInt32BE(at));
  const long = (at) => Number(little ? bytes.readBigUInt64LE(at) : bytes.readBigUInt64BE(at));
  const table = wide ? long(32) : word(28);
  const size = half(wide ? 54 : 42);
  for (let index = 0; index < half(wide ? 56 : 44); index++)
    if (word(table + index * size) === interpreterSegment) return false;
  return true;
}

/**
 * Brings a static busybox into `.cache`, without installing it.
 *
 * @param {string} root
 * @param {string} log
 * @throws {Error} if Debian's archive cannot be reached, or its package has another content.
 */
export async function fetchStaticBusybox(root, log) {
  const cache = cacheOf(root);
  mkdirSync(cache, { recursive: true });
  const directory = mkdtempSync(join(cache, "new-"));
  try {
    await showing("Fetching a statically linked busybox", async () => {
      const download = () => apt(["download", "busybox-static"], { log, cwd: directory });
      // The lists may be old, or missing; only root may renew them.
      await download().catch(async (error) => {
        if (process.getuid?.() !== 0) throw error;
        await apt(["update"], { log }).catch(() => {});
        await download();
      });
      const archive = readdirSync(directory).find((name) => name.endsWith(".deb"));
      await runLogged(["dpkg-deb", "-x", join(directory, archive ?? ""), directory], { log });
    });
    const file = ["usr/bin/busybox", "bin/busybox"].map((name) => join(directory, name)).find(existsSync);
    if (file === undefined || !isStatic(file)) throw new Error("busybox-static has no static busybox");
    renameSync(file, join(cache, "busybox"));
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** @param {string} root */
const cacheOf = (root) => join(root, ".cache", "busybox");
