/**
 * What a test run left on the host. Everything that a run makes is marked as its own, so that demos, agents and
 * other runs beside it do not count: its processes by an environment variable, its files, mounts and loop devices
 * by its temporary directory. Only what cannot be marked is compared with what was there before.
 */
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { rm } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { reasonOf } from "../../os/failure.ts";
import { run } from "../../os/run.ts";

/** Carries the run's mark to every process that a test starts. */
export const markVariable = "CROFT_TEST_RUN";

/** A test run's own marks. */
export interface Marks {
  /** Value of {@link markVariable}. */
  id: string;
  /** TMPDIR of the run's processes. */
  directory: string;
}

/** Something left behind, and how to get rid of it. */
export interface Leak {
  description: string;
  remove: () => Promise<unknown>;
}

/** Names of what bears no mark: interfaces, firewall tables, network namespaces, runtime directories. */
export type Unmarked = ReadonlyMap<string, Leak>;

/** Lists what bears no mark, to be compared before and after. */
export async function listUnmarked(): Promise<Unmarked> {
  const found = new Map<string, Leak>();
  const add = (description: string, remove: readonly string[]) =>
    found.set(description, { description, remove: () => run(remove, { timeoutSeconds: 300 }) });
  for (const name of entries("/sys/class/net"))
    // One with a carrier belongs to a machine that runs; if it is ours, its process is found.
    if (/^croft/.test(name) && read(`/sys/class/net/${name}/carrier`).trim() !== "1")
      add(`network interface ${name}`, ["ip", "link", "delete", name]);
  for (const name of entries("/run/netns"))
    if (/croft/.test(name)) add(`network namespace ${name}`, ["ip", "netns", "delete", name]);
  for (const name of entries("/run/croft"))
    if (!/^demo/.test(name)) add(`runtime directory /run/croft/${name}`, ["rm", "-r", `/run/croft/${name}`]);
  for (const table of await firewallTables())
    add(`nftables table ${table}`, ["nft", "delete", "table", ...table.split(" ")]);
  return found;
}

async function firewallTables(): Promise<string[]> {
  try {
    const { stdout } = await run(["nft", "list", "tables"], { timeoutSeconds: 300 });
    return [...stdout.matchAll(/^table (\S+ croft\S*)$/gm)].map((match) => match[1]!);
  } catch {
    return []; // no nft, or no right to ask: then no test can have made one
  }
}

/**
 * Finds what a run left behind.
 *
 * Processes get a moment to end: the last thing a test does may be to end one.
 */
export async function findLeaks(marks: Marks, before: Unmarked, { graceSeconds = 5 } = {}): Promise<Leak[]> {
  const deadline = Date.now() + graceSeconds * 1000;
  let processes = markedProcesses(marks);
  while (processes.length > 0 && Date.now() < deadline) {
    await delay(100);
    processes = markedProcesses(marks);
  }
  const unmarked = [...(await listUnmarked())].filter(([name]) => !before.has(name));
  return [
    ...processes,
    ...mountsUnder(marks.directory),
    ...loopDevicesOf(marks.directory),
    ...filesIn(marks.directory),
    ...unmarked.map(([, leak]) => leak),
  ];
}

/**
 * Removes what was found, and the run's directory.
 *
 * @returns what would not go, in words.
 */
export async function removeLeaks(leaks: readonly Leak[], marks: Marks): Promise<string[]> {
  const failures: string[] = [];
  const directory: Leak = { description: marks.directory, remove: () => removeTree(marks.directory) };
  for (const { description, remove } of [...leaks, directory])
    await remove().catch((error: unknown) => failures.push(`${description}: ${reasonOf(error)}`));
  return failures;
}

function markedProcesses({ id }: Marks): Leak[] {
  const mark = `${markVariable}=${id}`;
  const leaks: Leak[] = [];
  for (const pid of entries("/proc").filter((name) => /^\d+$/.test(name))) {
    if (Number(pid) === process.pid || !read(`/proc/${pid}/environ`).split("\0").includes(mark)) continue;
    const command = read(`/proc/${pid}/cmdline`).split("\0").join(" ").trim();
    leaks.push({
      description: `process ${pid}: ${command.slice(0, 200)}`,
      remove: async () => process.kill(Number(pid), "SIGKILL"),
    });
  }
  return leaks;
}

/** Mounts at or below a directory, the innermost first. */
export function mountsUnder(directory: string): Leak[] {
  return read("/proc/self/mountinfo")
    .split("\n")
    .map((line) => unescape(line.split(" ")[4] ?? ""))
    .filter((point) => isWithin(point, directory))
    .reverse()
    .map((point) => ({
      description: `mount ${point}`,
      remove: () => run(["umount", "--lazy", point], { timeoutSeconds: 300 }),
    }));
}

/** Loop devices on files below a directory. */
export function loopDevicesOf(directory: string): Leak[] {
  return entries("/sys/block")
    .filter((name) => name.startsWith("loop"))
    .filter((name) => isWithin(read(`/sys/block/${name}/loop/backing_file`).trim(), directory))
    .map((name) => ({
      description: `loop device /dev/${name} on ${read(`/sys/block/${name}/loop/backing_file`).trim()}`,
      // It may have gone with its mount.
      remove: () => run(["losetup", "--detach", `/dev/${name}`], { timeoutSeconds: 300, accept: [1] }),
    }));
}

function filesIn(directory: string): Leak[] {
  return entries(directory).map((name) => ({
    description: `temporary file ${directory}/${name}`,
    remove: async () => {}, // goes with the directory
  }));
}

async function removeTree(directory: string): Promise<void> {
  if (mountsUnder(directory).length > 0) throw new Error("something is still mounted in it");
  // Subvolumes refuse rmdir(2) on old kernels only; a read-only one would need its flag cleared, but its mount is gone.
  await rm(directory, { recursive: true, force: true, maxRetries: 3 });
}

function isWithin(path: string, directory: string): boolean {
  return path === directory || path.startsWith(`${directory}/`);
}

/** proc(5) writes blanks in paths as octal numbers. */
function unescape(path: string): string {
  return path.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(parseInt(digits, 8)));
}

function entries(directory: string): string[] {
  return existsSync(directory) ? readdirSync(directory) : [];
}

/** A file of /proc or /sys; empty if it is gone, or not ours to read. */
function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
