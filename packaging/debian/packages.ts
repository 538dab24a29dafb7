/**
 * The packages `croft` and `croft-runtime`, for each architecture: what npm has packed of croft, with the modules that
 * package-lock.json names for that architecture, and what belongs elsewhere on a Debian host.
 */
import { chmod, cp, mkdir, readdir, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { packageFile } from "../../os/files/package.ts";
import { run } from "../../os/run.ts";
import { installedKiB, writePackage } from "./archive.ts";
import { copyrightOf, type LockedModules } from "./copyright.ts";
import { addHostFiles, croftDirectory, documentFiles } from "./host-files.ts";
import {
  croftControl,
  debianChangelog,
  processors,
  runtimeControl,
  runtimeDirectory,
  type Architecture,
} from "./recipes.ts";

interface Wanted {
  /** What npm has packed of croft. */
  tarball: string;
  /** Directory for the packages. */
  output: string;
  /** Directory for what is made on the way. */
  work: string;
  version: string;
  architectures: readonly Architecture[];
  withRuntime: boolean;
}

interface Building extends Wanted {
  /** Time of all files, so that the same input gives the same bytes. */
  epochSeconds: number;
}

/** Builds the packages. @returns their paths */
export async function buildPackages(wanted: Wanted): Promise<string[]> {
  const building = { ...wanted, epochSeconds: await sourceEpochSeconds() };
  const made: string[] = [];
  for (const architecture of wanted.architectures) {
    const modules = join(wanted.work, `modules-${architecture}`);
    await installModules(modules, architecture);
    const runtime = join(modules, `node-linux-${processors[architecture]}`);
    const runtimeAside = join(wanted.work, `runtime-${architecture}`);
    await rename(runtime, runtimeAside);
    await leaveOut(modules);
    made.push(await buildCroft(building, architecture, modules));
    if (wanted.withRuntime) made.push(await buildRuntime(building, architecture, runtimeAside));
  }
  return made;
}

/** `SOURCE_DATE_EPOCH` (reproducible-builds.org), else the time of the last commit. */
async function sourceEpochSeconds(): Promise<number> {
  const given = process.env["SOURCE_DATE_EPOCH"];
  if (given !== undefined && /^\d{1,11}$/.test(given)) return Number(given);
  const argv = ["git", "log", "-1", "--format=%ct"];
  return Number((await run(argv, { timeoutSeconds: 60, cwd: packageFile() })).stdout);
}

/** Installs the modules that users need, and nothing that runs on other systems. */
async function installModules(to: string, architecture: Architecture): Promise<void> {
  const project = `${to}.project`;
  await mkdir(project);
  for (const name of ["package.json", "package-lock.json"])
    await cp(packageFile(name), join(project, name), { dereference: true });
  const system = ["--os=linux", `--cpu=${processors[architecture]}`, "--libc=glibc"];
  const quiet = ["--ignore-scripts", "--prefer-offline", "--no-audit", "--no-fund", "--no-update-notifier"];
  await run(["npm", "ci", "--omit=dev", ...system, ...quiet], {
    timeoutSeconds: 900,
    cwd: project,
    env: Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^npm_/i.test(name))),
  });
  await rename(join(project, "node_modules"), to);
  for (const name of [".bin", ".package-lock.json"])
    await rm(join(to, name), { recursive: true, force: true });
}

/** Directories and files of modules that nothing loads: other C libraries, sources, types, words for their developers. */
const leftOut =
  /^(musl_\w+|test|tests|__tests__|benchmarks?|examples?|\.github|\.vscode)$|\.(d\.[cm]?ts|[cm]?ts|map|md|markdown|yml|flow|html|sh|cc|hh|S|asm)$|^\.(npmignore|eslint.*|prettier.*|travis.*|editorconfig|gitattributes|taprc|nycrc|airtap.*|borp.*)$/i;
/** In a module's own directory: its commands, and what its developers build and try it with. */
const leftOutAtTop = /^(bin|bin\.[cm]?js|cnoke\.cjs|scripts|integration)$/;

async function leaveOut(directory: string): Promise<void> {
  const entries = await readdir(directory, { withFileTypes: true });
  const isModule = entries.some(({ name }) => name === "package.json");
  for (const entry of entries) {
    const path = join(directory, entry.name);
    const goes = leftOut.test(entry.name) || (isModule && leftOutAtTop.test(entry.name));
    if (goes && !/licen[sc]e|notice/i.test(entry.name)) await rm(path, { recursive: true });
    else if (entry.isDirectory()) await leaveOut(path);
    else if (entry.isFile()) await chmod(path, 0o644); // nobody starts what is left
  }
  // What its compiled part is made of
  if (directory.endsWith("/koffi"))
    for (const name of ["vendor", "doc"]) await rm(join(directory, name), { recursive: true, force: true });
}

async function buildCroft(building: Building, architecture: Architecture, modules: string): Promise<string> {
  const { tarball, version, work, output, epochSeconds } = building;
  const root = join(work, `croft-${architecture}`);
  const croft = join(root, croftDirectory);
  await mkdir(croft, { recursive: true });
  const unpack = ["tar", "-xzf", tarball, "--strip-components=1", "--no-same-owner", "-C", croft];
  await run(unpack, { timeoutSeconds: 120 });
  const lock = JSON.parse(await readFile(packageFile("package-lock.json"), "utf8")) as LockedModules;
  await rename(modules, join(croft, "node_modules"));
  const { conffiles } = await addHostFiles(root, await copyrightOf(lock, croft));
  await documentFiles(root, "croft", { changelog: debianChangelog("croft", version, epochSeconds) });
  const scripts: Record<string, string> = {};
  for (const name of ["postinst", "prerm", "postrm"])
    scripts[name] = await readFile(packageFile("packaging", "debian", "croft", name), "utf8");
  const control = croftControl(version, architecture, await installedKiB(root));
  return await writePackage(root, { control, conffiles, scripts }, { output, epochSeconds });
}

async function buildRuntime(building: Building, architecture: Architecture, module: string): Promise<string> {
  const { version, work, output, epochSeconds } = building;
  const root = join(work, `croft-runtime-${architecture}`);
  const bin = join(root, runtimeDirectory, "bin");
  await mkdir(bin, { recursive: true });
  await cp(join(module, "bin", "node"), join(bin, "node"));
  const { version: node } = JSON.parse(await readFile(join(module, "package.json"), "utf8")) as {
    version: string;
  };
  await documentFiles(root, "croft-runtime", {
    changelog: debianChangelog("croft-runtime", version, epochSeconds),
    copyright: `Node.js, as its developers have built it, from the package node-linux-${processors[architecture]}:\n\n${await readFile(join(module, "LICENSE"), "utf8")}`,
  });
  const control = runtimeControl(version, architecture, { installedKiB: await installedKiB(root), node });
  return await writePackage(root, { control }, { output, epochSeconds });
}
