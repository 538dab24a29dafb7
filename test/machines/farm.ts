import { readFileSync, writeFileSync, openSync, closeSync } from "node:fs";
import { mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { makeLog, type Log } from "../../os/log.ts";
import { temporaryDirectory } from "../../os/files/temporary.ts";
import { BootstrapBackoff } from "../../machines/enumeration/bootstrap-backoff.ts";
import { BootstrapWaits } from "../../machines/enumeration/bootstrap-waits.ts";
import type { EnumerationContext } from "../../machines/enumeration/enumeration-context.ts";
import { enumerateMachines } from "../../machines/enumeration/enumerate.ts";
import type { Enumeration } from "../../machines/enumeration/enumeration.ts";
import { machinePaths, manifestPath, type MachinePaths } from "../../machines/layout.ts";
import { publishBootstrapped } from "../../machines/enumeration/pending-bootstrap.ts";
import { newRevisionPath, publishRevision } from "../../machines/revisions.ts";
import { openStorage } from "../../machines/open-storage.ts";
import type { Storage } from "../../machines/storage.ts";
import { takeToolchainLock, type ToolchainLock } from "../../machines/toolchain-lock.ts";
import { patienceMs } from "../fixtures/patience.ts";

export const toolchain = "gcc";

/** Text of a machine manifest. */
export function machineManifest(name: string, id: string, more = ""): string {
  return `: 1\nid: ${id}\nname: ${name}\nsummary: A machine for tests\ntype: kvm\n${more}`;
}

/** A machines directory for tests, with its lock, storage and log. */
export interface Farm extends AsyncDisposable {
  readonly directory: string;
  readonly storage: Storage;
  readonly log: Log;
  /** Path of the toolchain lock. */
  readonly toolchainLock: string;
  context(changes?: Partial<EnumerationContext>): EnumerationContext;
  paths(name: string, volume?: string): MachinePaths;
  /** Publishes a revision of a machine, whose id is `<name>-1.<number>` unless told. */
  publish(name: string, options?: { id?: string; volume?: string; manifest?: string }): Promise<number>;
  /** Looks through the machines, and gives the result to a function while the toolchain lock is held. */
  enumerate<T>(
    use: (found: Enumeration, lock: ToolchainLock) => T | Promise<T>,
    changes?: Partial<EnumerationContext>,
  ): Promise<T>;
  /** Publishes the pending bootstrap, if there is one, as a fake one; says of which machine. */
  bootstrap(changes?: Partial<EnumerationContext>): Promise<string | undefined>;
  /** Bootstraps all machines. */
  bootstrapAll(changes?: Partial<EnumerationContext>): Promise<void>;
  /** Log records of a level, in order. */
  records(level?: "error" | "warn"): Record<string, unknown>[];
  /** Names in a machine's directory, sorted. */
  names(name: string, volume?: string): Promise<string[]>;
}

const pinoLevels = { warn: 40, error: 50 };

/** Makes a farm in a temporary directory, or in one that is given (and stays). */
export async function makeFarm(options: { parent?: string } = {}): Promise<Farm> {
  const temporary = await temporaryDirectory("croft-test-farm-");
  const directory = options.parent ?? join(temporary.path, "machines");
  await mkdir(join(directory, "v"), { recursive: true });
  const logFile = join(temporary.path, "log");
  const logDescriptor = openSync(logFile, "w");
  const log = makeLog({ format: "json", verbosity: 6, destination: logDescriptor });
  const storage = await openStorage(directory, "auto", log);
  const backoff = new BootstrapBackoff();
  const toolchainLock = join(temporary.path, "toolchain.lock");
  const paths = (name: string, volume = "v") => machinePaths(directory, volume, name, toolchain);
  const context = (changes: Partial<EnumerationContext> = {}): EnumerationContext => ({
    directory,
    toolchain: { name: toolchain, id: "toolchain-1" },
    instance: 1,
    instanceMax: 0,
    copies: 1,
    workerVersion: "1.2.0",
    storage,
    bootstrapBackoff: backoff,
    bootstrapWaits: new BootstrapWaits(),
    log,
    pause: () => Promise.resolve(),
    ...changes,
  });
  const enumerate: Farm["enumerate"] = async (use, changes) => {
    using lock = await takeToolchainLock(toolchainLock, log, AbortSignal.timeout(patienceMs));
    await using found = await enumerateMachines(context(changes), lock);
    return await use(found, lock);
  };
  const bootstrap: Farm["bootstrap"] = (changes) =>
    enumerate(async (found, lock) => {
      if (!found.pending) return undefined;
      await using pending = found.takePending();
      pending.lock.write(lock);
      const used = context(changes);
      const versions = used.workerVersion === undefined ? {} : { croft: used.workerVersion };
      await publishBootstrapped(storage, pending, {
        machine: { ...pending.manifest, mac: "02:00:00:00:00:01" },
        toolchain: { id: used.toolchain.id === "" ? "bogus" : used.toolchain.id },
        bootstrap: { versions: { ...versions, gcc: "12.2.0" } },
      });
      return pending.paths.name;
    }, changes);
  return {
    directory,
    storage,
    log,
    toolchainLock,
    context,
    paths,
    enumerate,
    bootstrap,
    bootstrapAll: async (changes) => {
      while ((await bootstrap(changes)) !== undefined);
    },
    publish: async (name, { id, volume, manifest } = {}) => {
      const place = paths(name, volume);
      const path = await newRevisionPath(place);
      await storage.createSubvolume(path);
      const number = (await readdir(place.directory)).filter((entry) => /-1\.\d+$/.test(entry)).length + 1;
      const text = manifest ?? machineManifest(name, id ?? `${name}-1.${number}`);
      writeFileSync(manifestPath(path), text);
      writeFileSync(join(path, "disk.img"), `disk of ${name}\n`.padEnd(4096, "."));
      writeFileSync(join(path, "kernel"), "kernel\n");
      return publishRevision(storage, place, path);
    },
    records: (level) =>
      readFileSync(logFile, "utf8")
        .split("\n")
        .filter((line) => line !== "")
        .map((line) => JSON.parse(line) as Record<string, unknown>)
        .filter((record) => level === undefined || record["level"] === pinoLevels[level]),
    names: async (name, volume) => (await readdir(paths(name, volume).directory)).sort(),
    [Symbol.asyncDispose]: async () => {
      closeSync(logDescriptor);
      await temporary[Symbol.asyncDispose]();
    },
  };
}
