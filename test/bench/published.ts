import { cp, mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { packageFile } from "../../os/files/package.ts";
import { run } from "../../os/run.ts";

/**
 * Makes the package as `npm pack` does, with the dependencies of this clone: what operators run, without the type
 * stripper, which costs time and memory.
 *
 * @param tests files below the package's root that are compiled besides, to `dist/` like everything.
 */
export async function publishTo(directory: string, tests: readonly string[] = []): Promise<void> {
  await mkdir(join(directory, "bin"));
  await cp(packageFile("bin", "croft.js"), join(directory, "bin", "croft.js"));
  await cp(packageFile("package.json"), join(directory, "package.json"));
  for (const name of ["node_modules", "worker"]) await symlink(packageFile(name), join(directory, name));
  const base = packageFile("tsconfig.build.json");
  const { include: rooms } = JSON.parse(await readFile(base, "utf8")) as { include: string[] };
  const settings = {
    extends: base,
    compilerOptions: { rootDir: packageFile(), outDir: join(directory, "dist") },
    include: [...rooms, ...tests].map((name) => packageFile(name)),
  };
  await writeFile(join(directory, "tsconfig.json"), JSON.stringify(settings));
  const compiler = packageFile("node_modules", "typescript", "bin", "tsc");
  await run([process.execPath, compiler, "-p", directory], { timeoutSeconds: 300 });
}
