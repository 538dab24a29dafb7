/** The published package: packed from a copy of this clone, and installed by the npm of the system. */
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { cp, mkdir, readFile, symlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { packageFile, packageVersion } from "../../os/files/package.ts";
import { run } from "../../os/run.ts";
import { temporaryDirectory } from "../../os/files/temporary.ts";
import { copyMade } from "../fixtures/made.ts";

/** PATH without the runtime of this clone: the system's own Node.js starts croft, whatever its version. */
const path = (process.env["PATH"] ?? "")
  .split(":")
  .filter((part) => !part.includes("node_modules"))
  .join(":");

/** Neither npm's settings for the run that we are in, nor a mark of node's test runner. */
export const systemEnvironment: NodeJS.ProcessEnv = {
  ...Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(npm_|NODE_TEST_CONTEXT$|INIT_CWD$)/i.test(name)),
  ),
  PATH: path,
};

/** The npm that belongs to the system's Node.js: `npm` in PATH. */
export async function npm(cwd: string, ...args: string[]): Promise<void> {
  await run(["npm", ...args, "--no-audit", "--no-fund", "--ignore-scripts", "--prefer-offline"], {
    timeoutSeconds: 600,
    cwd,
    env: systemEnvironment,
  });
}

/**
 * Packs a copy of the clone, which builds it: once for each state of its files, as building takes half a minute of a
 * processor's time. @returns the path of the tarball, in the directory.
 */
export async function packPackage(directory: string): Promise<string> {
  const hash = createHash("sha256");
  for (const file of await packedFiles()) hash.update(`${file}\0`).update(await readFile(packageFile(file)));
  const to = join(directory, "packed");
  await copyMade("package", hash.digest("hex").slice(0, 12), { to, make: packInto });
  return join(to, `croft-${packageVersion}.tgz`);
}

async function packInto(directory: string): Promise<void> {
  await mkdir(directory);
  await using work = await temporaryDirectory("croft-test-pack-");
  const clone = join(work.path, "clone");
  await copyClone(clone);
  // Runs the script "prepack", which builds.
  await run(["npm", "pack", "--pack-destination", directory], {
    timeoutSeconds: 300,
    cwd: clone,
    env: systemEnvironment,
  });
}

/** The files of the project, by their paths in it: those of git, and those that are to be added. */
export async function projectFiles(): Promise<string[]> {
  const list = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"];
  const { stdout } = await run(list, { timeoutSeconds: 60, cwd: packageFile() });
  return stdout.split("\0").filter((name) => name !== "");
}

/** All but the tests, and what was removed and is not yet to git. */
async function packedFiles(): Promise<string[]> {
  const files = await projectFiles();
  return files.filter((name) => !name.startsWith("test/") && existsSync(packageFile(name)));
}

/** The files that belong to the project, beside the modules of this clone. */
async function copyClone(to: string): Promise<void> {
  for (const file of await packedFiles()) {
    await mkdir(dirname(join(to, file)), { recursive: true });
    await cp(packageFile(file), join(to, file), { verbatimSymlinks: true });
  }
  await symlink(packageFile("node_modules"), join(to, "node_modules"));
}
