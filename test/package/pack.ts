/** The published package: packed from a copy of this clone, and installed by the npm of the system. */
import { cp, mkdir, readFile, symlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { packageFile, packageVersion } from "../../os/files/package.ts";
import { run } from "../../os/run.ts";

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

/** Packs a copy of the clone, which builds it. @returns the path of the tarball, in the directory. */
export async function packPackage(directory: string): Promise<string> {
  const clone = join(directory, "clone");
  await copyClone(clone);
  // Runs the script "prepack", which builds.
  await run(["npm", "pack", "--pack-destination", directory], {
    timeoutSeconds: 300,
    cwd: clone,
    env: systemEnvironment,
  });
  return join(directory, `croft-${packageVersion}.tgz`);
}

/** The files of the project, by their paths in it: those of git, and those that are to be added. */
export async function projectFiles(): Promise<string[]> {
  const list = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"];
  const { stdout } = await run(list, { timeoutSeconds: 60, cwd: packageFile() });
  return stdout.split("\0").filter((name) => name !== "");
}

/** The files that belong to the project, beside the modules of this clone. */
async function copyClone(to: string): Promise<void> {
  for (const file of (await projectFiles()).filter((name) => !name.startsWith("test/"))) {
    if ((await readFile(packageFile(file)).catch(() => undefined)) === undefined) continue; // removed meanwhile
    await mkdir(dirname(join(to, file)), { recursive: true });
    await cp(packageFile(file), join(to, file), { verbatimSymlinks: true });
  }
  await symlink(packageFile("node_modules"), join(to, "node_modules"));
}
