// node_modules as package-lock.json wants it; never replaced under a running demo or test run.
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { holdersOf, lockFile } from "./lock.js";
import { runLogged, showing } from "./steps.js";

/** Held shared by whatever runs from this clone's node_modules, exclusively by what replaces it. @param {string} root */
export const modulesLock = (root) => join(root, ".cache/node_modules.lock");

/**
 * Whether node_modules is complete and fits package-lock.json.
 *
 * The stamp is written after an installation has come to its end and removed before the next begins. Without one
 * (somebody ran npm by hand), npm's own record, which it writes last, is compared and the stamp is made.
 *
 * @param {string} root
 */
export function modulesAreCurrent(root) {
  const stamp = join(root, "node_modules/.croft-stamp");
  const digest = digestOf(root);
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === digest) return true;
  if (!recordFits(root)) return false;
  writeFileSync(stamp, digest);
  return true;
}

/**
 * Installs the packages of package-lock.json if they are not there.
 *
 * @param {string} root
 * @param {{ log: string, install?: string[], shared?: number }} options `install`: the command, npm's unless told
 * @throws {Error} if they are in use by a running demo or test run, or npm fails.
 */
export async function installModules(root, { log, install = npmCommand() }) {
  if (modulesAreCurrent(root)) return;
  const lock = await lockFile(modulesLock(root), "exclusive");
  if (!lock)
    throw new Error(
      "The npm packages have changed, but a demo or a test run of this clone is using them: end it first.\n" +
        holdersOf(modulesLock(root))
          .map((holder) => `  process ${holder}`)
          .join("\n"),
    );
  try {
    rmSync(join(root, "node_modules/.croft-stamp"), { force: true });
    const argv = [...install, "ci", "--ignore-scripts", "--no-audit", "--no-fund"];
    const env = withoutModules(process.env, root);
    await showing("Installing the npm packages", () =>
      runLogged(argv, { log, env, cwd: root, keep: [lock.fd] }),
    );
    writeFileSync(join(root, "node_modules/.croft-stamp"), digestOf(root));
  } finally {
    lock.release();
  }
}

/**
 * Makes `node` in node_modules/.bin, which `npm run` puts first in PATH, the runtime that comes along. npm does that
 * itself, but older ones leave out the programs of optional packages.
 *
 * @param {string} root
 */
export function linkRuntime(root) {
  const link = join(root, "node_modules/.bin/node");
  if (existsSync(link) || !existsSync(join(root, `node_modules/node-linux-${process.arch}/bin/node`))) return;
  mkdirSync(dirname(link), { recursive: true });
  symlinkSync(`../node-linux-${process.arch}/bin/node`, link);
}

/** @param {string} root */
function digestOf(root) {
  const hash = createHash("sha256").update(readFileSync(join(root, "package-lock.json")));
  return `${hash.digest("hex")} ${process.platform}-${process.arch}\n`;
}

/** @param {string} root */
function recordFits(root) {
  try {
    const read = (file) => JSON.parse(readFileSync(join(root, file), "utf8")).packages;
    const [wanted, there] = [read("package-lock.json"), read("node_modules/.package-lock.json")];
    return Object.entries(wanted).every(([path, entry]) => {
      if (path === "") return true;
      if (!there[path]) return entry.optional === true && !suits(entry);
      return there[path].version === entry.version && there[path].integrity === entry.integrity;
    });
  } catch {
    return false;
  }
}

/** Whether an optional package is for this processor and system; npm writes a list or a single word. */
function suits({ os = process.platform, cpu = process.arch, libc = "glibc" }) {
  return os.includes(process.platform) && cpu.includes(process.arch) && libc.includes("glibc");
}

/**
 * npm as it was called, under the Node.js that it was called with: the one in node_modules/.bin, which `npm run`
 * puts first in PATH, is about to be removed.
 */
function npmCommand() {
  const { npm_execpath: npm, npm_node_execpath: node } = process.env;
  if (npm && node && existsSync(npm) && existsSync(node)) return [node, npm];
  return ["npm"];
}

/** @param {NodeJS.ProcessEnv} env @param {string} root */
function withoutModules(env, root) {
  const bin = join(root, "node_modules");
  const path = (env.PATH ?? "")
    .split(":")
    .filter((part) => !part.startsWith(bin) && !part.includes("/node_modules/.bin"));
  const node = env.npm_node_execpath ? [dirname(env.npm_node_execpath)] : [];
  return { ...env, PATH: [...node, ...path].join(":") };
}
