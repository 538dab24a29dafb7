/**
 * Where instances keep what belongs to their running machine: `<root>/<T>-<I>/` for instance I of toolchain T. The
 * agent that holds a machine for the operator says so in a file there; what else lies there belongs to qemu/.
 */
import { readdirSync, readFileSync } from "node:fs";
import { chmod, mkdir, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { writeDurably } from "../os/files/durable.ts";
import { attempt, Failure, isSystemError, reasonOf } from "../os/failure.ts";

/** The parent of all instances' runtime directories. */
export function defaultRuntime(): string {
  if (process.getuid?.() === 0) return "/run/croft";
  const directory = process.env["XDG_RUNTIME_DIR"];
  if (!directory)
    throw new Failure("find the runtime directory", "XDG_RUNTIME_DIR is not set", {
      hints: ["Give one with --runtime DIR"],
    });
  return join(directory, "croft");
}

/**
 * Makes the runtime directory of an instance, for its user alone: whoever may open the sockets in it controls the machine.
 *
 * @throws {Failure} if that is not possible.
 */
export async function makeRuntimeDirectory(path: string): Promise<void> {
  const make = mkdir(path, { recursive: true }).then(() => chmod(path, 0o700));
  await attempt(`make the directory '${path}'`, make);
}

/** The runtime directory of an auxiliary machine, beside that of its instance. */
export function auxiliaryRuntime(runtimeDirectory: string, number: number): string {
  return `${runtimeDirectory}.a${number}`;
}

/** Runtime directories of auxiliary machines that are there, of an instance. */
export function auxiliaryRuntimes(runtimeDirectory: string): string[] {
  const [root, name] = [dirname(runtimeDirectory), basename(runtimeDirectory)];
  return listInstances(root)
    .filter((other) => other.startsWith(`${name}.a`))
    .map((other) => join(root, other));
}

/** A machine that is held for the operator: suspended when it is held first. */
export interface Suspension {
  /** Name of the machine. */
  machine: string;
  toolchain: string;
  instance: number;
  /** Name of its runtime directory; absent from the note of an older agent: the instance's. */
  directory?: string;
  /** The agent's process, which holds the machine's lock. */
  pid: number;
  reason: string;
  /** ISO 8601. */
  since: string;
}

const suspensionName = "suspended.json";

/** @throws {Failure} if it cannot be written. */
export async function writeSuspension(runtimeDirectory: string, held: Suspension): Promise<void> {
  await writeDurably(join(runtimeDirectory, suspensionName), `${JSON.stringify(held)}\n`);
}

export async function removeSuspension(runtimeDirectory: string): Promise<void> {
  const path = join(runtimeDirectory, suspensionName);
  await attempt(`remove '${path}'`, rm(path, { force: true }));
}

/** The machine that an instance holds; undefined if there is none, or the note is a crashed agent's. */
export function readSuspension(runtimeDirectory: string): Suspension | undefined {
  try {
    const held = JSON.parse(readFileSync(join(runtimeDirectory, suspensionName), "utf8")) as Suspension;
    return isAlive(held.pid) ? held : undefined;
  } catch (error) {
    if (isSystemError(error, "ENOENT", "ENOTDIR") || error instanceof SyntaxError) return undefined;
    throw new Failure(`read '${join(runtimeDirectory, suspensionName)}'`, reasonOf(error), { cause: error });
  }
}

/** The machines that instances hold; none where nobody may look. */
export function listSuspensions(root: string): Suspension[] {
  try {
    return listInstances(root).flatMap((instance) => readSuspension(join(root, instance)) ?? []);
  } catch (error) {
    if (error instanceof Failure) return [];
    throw error;
  }
}

/**
 * Lists the instances that have a runtime directory, `<T>-<I>`, and their auxiliary machines, `<T>-<I>.a<number>`.
 *
 * @throws {Failure} if the root cannot be read; one that is not there has no instances.
 */
export function listInstances(root: string): string[] {
  try {
    return readdirSync(root, { withFileTypes: true })
      .filter((entry) => entry.isDirectory() && /-\d{1,2}(\.a[1-9])?$/.test(entry.name))
      .map((entry) => entry.name)
      .sort();
  } catch (error) {
    if (isSystemError(error, "ENOENT")) return [];
    throw new Failure(`look for instances in '${root}'`, reasonOf(error), { cause: error });
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return isSystemError(error, "EPERM");
  }
}
