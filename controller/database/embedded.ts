/**
 * PGlite in a directory.
 *
 * It comes with fsync off (`-F` among its parameters), with a file system layer that has no fsync at all, and with
 * fdatasync, by which it would sync its log, compiled to nothing; all three are put right here, so that an acknowledged result survives a power failure and not only a killed process.
 *
 * Its WebAssembly is compiled by the baseline compiler alone: the optimizing one takes more memory than the whole
 * database (150 MB against 310 MB with a first table made, 760 MB at the peak of a start).
 */
import { existsSync, fsyncSync } from "node:fs";
import { readFile, rename, rm } from "node:fs/promises";
import { dirname, extname, join } from "node:path";
import { PGlite } from "@electric-sql/pglite";
import { NodeFS } from "@electric-sql/pglite/nodefs";
import { setFlagsFromString } from "node:v8";
import { syncDirectory } from "../../os/files/durable.ts";
import { Failure, reasonOf } from "../../os/failure.ts";
import { run } from "../../os/run.ts";
import type { Database, Sql } from "./database.ts";

/** Small: one process, one connection, and the page cache of the kernel below. */
const settings = [
  "fsync = on",
  "wal_sync_method = fsync",
  "shared_buffers = 8MB",
  "wal_buffers = 512kB",
  "max_connections = 5",
  "max_wal_size = 64MB",
  "min_wal_size = 32MB",
];

/** The part of Emscripten's file system that {@link DurablePrivateFiles} completes. */
interface FileSystemLayer {
  stream_ops: { fsync?: (stream: { nfd?: number }) => number };
  doSetAttr(file: unknown, node: unknown, attributes: { mode?: number }, ...functions: unknown[]): void;
}

/** Emscripten gives each file that it makes the mode 0666 afterwards, whatever the umask. */
const ownersOnly = ~0o077;

class DurablePrivateFiles extends NodeFS {
  override async init(...parameters: Parameters<NodeFS["init"]>): ReturnType<NodeFS["init"]> {
    const { emscriptenOpts } = await super.init(...parameters);
    const addSync = (module: unknown) => {
      const layer = (module as { NODEFS: FileSystemLayer }).NODEFS;
      layer.stream_ops.fsync = (stream) => {
        if (stream.nfd !== undefined) fsyncSync(stream.nfd);
        return 0;
      };
      const setAttributes = layer.doSetAttr.bind(layer);
      layer.doSetAttr = (file, node, attributes, ...functions) => {
        const { mode } = attributes;
        const kept = mode === undefined ? attributes : { ...attributes, mode: mode & ownersOnly };
        setAttributes(file, node, kept, ...functions);
      };
    };
    const preRun = [emscriptenOpts.preRun ?? []].flat();
    return { emscriptenOpts: { ...emscriptenOpts, preRun: [...preRun, addSync] } };
  }
}

/** How an embedded database was used; {@link startUpkeep} goes by it. */
interface DatabaseUse {
  /** Since somebody set it to 0; those of an earlier process are not known. */
  changedRows: number;
  /** When the last statement ended: `performance.now()`. */
  lastAtMs: number;
}

/** The embedded database. */
export interface EmbeddedDatabase extends Database {
  readonly use: DatabaseUse;

  /**
   * Copies its files to a directory that is made: as they are between two statements, which wait meanwhile. An engine that is
   * started on the copy goes on from there as after a crash: with all that was committed, and nothing else.
   *
   * @throws {Failure} if there is no room, for instance.
   */
  copyTo(directory: string): Promise<void>;
}

/** However large it is; where the file system shares extents, it takes a moment. */
const copySeconds = 3600;

/**
 * Opens the embedded database, which is made first if it is not there.
 *
 * @throws {Failure} if the directory cannot be used.
 */
export async function openEmbedded(directory: string): Promise<EmbeddedDatabase> {
  let pglite: PGlite;
  try {
    if (!existsSync(directory)) await makeInChild(directory);
    else await assertReadable(directory);
    pglite = await startEngine(directory);
  } catch (error) {
    throw failureOf(directory, error);
  }
  const use: DatabaseUse = { changedRows: 0, lastAtMs: performance.now() };
  const sqlOf = (connection: Pick<PGlite, "query">): Sql => ({
    query: async <Row>(text: string, values: readonly unknown[] = []) => {
      const { rows, affectedRows = 0 } = await connection.query<Row>(text, [...values]);
      use.changedRows += affectedRows;
      use.lastAtMs = performance.now();
      return rows;
    },
  });
  let open = true;
  return {
    use,
    ...sqlOf(pglite),
    transaction: (work) => pglite.transaction((connection) => work(sqlOf(connection as never))),
    copyTo: async (copy) => {
      await pglite.query("checkpoint"); // so that the copy's log is short
      await pglite.runExclusive(async () => {
        const argv = ["cp", "--archive", "--reflink=auto", "--", directory, copy];
        await run(argv, { timeoutSeconds: copySeconds });
      });
    },
    [Symbol.asyncDispose]: async () => {
      if (!open) return;
      open = false;
      await pglite.close();
    },
  };
}

/** The PostgreSQL that the engine is: it reads no other one's files, and does not say that it is this. */
const engineVersion = "18";

/** @throws if the engine would not read the files, or would write over them. */
async function assertReadable(directory: string): Promise<void> {
  const file = join(directory, "PG_VERSION");
  // The engine takes a directory without this file for an empty one, and makes a new database over the old.
  if (!existsSync(file)) throw new Error("there is no PG_VERSION in it");
  const version = (await readFile(file, "utf8")).trim();
  if (version === engineVersion || !/^\d+$/.test(version)) return;
  const reason = `its files are those of PostgreSQL ${version}, and this version of croft has ${engineVersion}`;
  throw new Failure(`open the database in '${directory}'`, reason, {
    hints: ["Nothing is wrong with them: start the version of croft that wrote them."],
  });
}

/** The engine has few words for damaged files: it aborts. What the operating system refuses has a code. */
function failureOf(directory: string, error: unknown): Failure {
  const action = `open the database in '${directory}'`;
  if (error instanceof Failure && error.hints.length > 0) return error;
  if (error instanceof Failure || typeof (error as NodeJS.ErrnoException | null)?.code === "string")
    return new Failure(action, reasonOf(error), { cause: error });
  return new Failure(action, `its files are damaged (${reasonOf(error)})`, {
    cause: error,
    hints: [
      "Keep a copy of it, and put the data directory of your last backup in its place.",
      "Without a backup, move 'database' out of the data directory: the controller then starts with an empty one.",
    ],
  });
}

/**
 * Making the files takes 600 MB for some seconds, which a process never gives back: a child does it. They get their
 * name when they are complete, so that dying in between leaves nothing that looks like a database.
 */
async function makeInChild(directory: string): Promise<void> {
  const unfinished = `${directory}.new`;
  await rm(unfinished, { recursive: true, force: true });
  const program = join(import.meta.dirname, `initialize${extname(import.meta.filename)}`);
  await run([process.execPath, program, unfinished], { timeoutSeconds: 300 });
  await rename(unfinished, directory);
  await syncDirectory(dirname(directory));
}

/** Starts the engine on a directory; makes its files if they are not there. */
export async function startEngine(directory: string): Promise<PGlite> {
  // What --liftoff-only stands for; that itself has no effect once the engine runs.
  for (const flag of ["--no-wasm-tier-up", "--no-wasm-dynamic-tiering"]) setFlagsFromString(flag);
  return await PGlite.create({
    fs: new DurablePrivateFiles(directory),
    postgresqlconf: settings,
    startParams: PGlite.defaultStartParams.filter((parameter) => parameter !== "-F"),
  });
}
