/** From a directory with a package's files to the package: same files, same bytes. */
import { createHash } from "node:crypto";
import { chmod, lutimes, mkdir, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { run } from "../../os/run.ts";
import { formatControl, type Control } from "./recipes.ts";

/** What a package has besides its files. */
export interface Metadata {
  control: Control;
  /** Files that are the administrator's from then on, by their paths on the host. */
  conffiles?: readonly string[];
  /** Maintainer scripts by name, such as `postinst`. */
  scripts?: Readonly<Record<string, string>>;
}

const textMode = 0o644;
const programMode = 0o755;

/** Writes the package `NAME_VERSION_ARCHITECTURE.deb`. @returns its path */
export async function writePackage(
  directory: string,
  metadata: Metadata,
  { output, epochSeconds }: { output: string; epochSeconds: number },
): Promise<string> {
  const { control, conffiles = [], scripts = {} } = metadata;
  const sums = await digests(directory);
  const information = join(directory, "DEBIAN");
  await mkdir(information);
  await writeFile(join(information, "control"), formatControl(control));
  await writeFile(join(information, "md5sums"), sums);
  if (conffiles.length > 0) await writeFile(join(information, "conffiles"), `${conffiles.join("\n")}\n`);
  for (const [name, text] of Object.entries(scripts)) await writeFile(join(information, name), text);
  await settle(directory, epochSeconds);
  const path = join(output, `${control["Package"]}_${control["Version"]}_${control["Architecture"]}.deb`);
  const argv = [
    "dpkg-deb",
    "--root-owner-group",
    "-Zxz",
    "-z3",
    "--threads-max=2",
    "--build",
    directory,
    path,
  ];
  await run(argv, {
    timeoutSeconds: 1800,
    env: { ...process.env, SOURCE_DATE_EPOCH: String(epochSeconds) },
  });
  return path;
}

/** What the files take, in KiB, each rounded up (deb-control(5), Installed-Size). */
export async function installedKiB(directory: string): Promise<number> {
  let sum = 0;
  for (const entry of await entriesBelow(directory))
    sum += entry.isFile() ? Math.ceil((await stat(pathOf(entry))).size / 1024) : 1;
  return sum;
}

interface Entry {
  name: string;
  parentPath: string;
  isFile(): boolean;
  isDirectory(): boolean;
  isSymbolicLink(): boolean;
}

const pathOf = ({ parentPath, name }: Entry) => join(parentPath, name);

async function entriesBelow(directory: string): Promise<Entry[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  return entries.sort((a, b) => (pathOf(a) < pathOf(b) ? -1 : 1));
}

async function digests(directory: string): Promise<string> {
  const lines: string[] = [];
  for (const entry of await entriesBelow(directory)) {
    const name = relative(directory, pathOf(entry));
    if (!entry.isFile() || name.startsWith("etc/")) continue;
    const md5 = createHash("md5")
      .update(await readFile(pathOf(entry)))
      .digest("hex");
    lines.push(`${md5}  ${name}\n`);
  }
  return lines.join("");
}

/** Times, owners and modes that depend neither on who builds, nor on when: what its owner may start, everybody may. */
async function settle(directory: string, epochSeconds: number): Promise<void> {
  const entries = await entriesBelow(directory);
  for (const entry of entries) {
    const path = pathOf(entry);
    if (entry.isSymbolicLink()) continue;
    const isScript = /^DEBIAN\/(pre|post)(inst|rm)$/.test(relative(directory, path));
    const isProgram = entry.isDirectory() || isScript || ((await stat(path)).mode & 0o100) !== 0;
    await chmod(path, isProgram ? programMode : textMode);
  }
  await chmod(directory, programMode);
  for (const path of [...entries.map(pathOf), directory]) await lutimes(path, epochSeconds, epochSeconds);
}
