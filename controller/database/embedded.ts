/**
 * PGlite in a directory. It comes with `fsync = off` and a file system layer that has no fsync at all; both are
 * put right here, so that an acknowledged result survives a power failure and not only a killed process.
 */
import { fsyncSync } from "node:fs";
import { PGlite } from "@electric-sql/pglite";
import { NodeFS } from "@electric-sql/pglite/nodefs";
import { fromPglite } from "pg-boss";
import { Failure, reasonOf } from "../../host/failure.ts";
import { CurrentTransaction, type Database, type Sql } from "./database.ts";

/** Small: one process, one connection, and the page cache of the kernel below. */
const settings = [
  "fsync = on",
  "shared_buffers = 8MB",
  "wal_buffers = 512kB",
  "max_connections = 5",
  "max_wal_size = 64MB",
  "min_wal_size = 32MB",
];

/** The part of Emscripten's file system that {@link DurableFiles} completes. */
interface FileSystemLayer {
  stream_ops: { fsync?: (stream: { nfd?: number }) => number };
}

class DurableFiles extends NodeFS {
  override async init(...parameters: Parameters<NodeFS["init"]>): ReturnType<NodeFS["init"]> {
    const { emscriptenOpts } = await super.init(...parameters);
    const addSync = (module: unknown) => {
      const layer = (module as { NODEFS: FileSystemLayer }).NODEFS;
      layer.stream_ops.fsync = (stream) => {
        if (stream.nfd !== undefined) fsyncSync(stream.nfd);
        return 0;
      };
    };
    const preRun = [emscriptenOpts.preRun ?? []].flat();
    return { emscriptenOpts: { ...emscriptenOpts, preRun: [...preRun, addSync] } };
  }
}

/**
 * Opens (and first makes) the embedded database.
 *
 * @throws {Failure} if the directory cannot be used.
 */
export async function openEmbedded(directory: string): Promise<Database> {
  let pglite: PGlite;
  try {
    pglite = await PGlite.create({ fs: new DurableFiles(directory), postgresqlconf: settings });
  } catch (error) {
    throw new Failure(`open the database in '${directory}'`, reasonOf(error), { cause: error });
  }
  const sqlOf = (connection: Pick<PGlite, "query">): Sql => ({
    query: async <Row>(text: string, values: readonly unknown[] = []) =>
      (await connection.query<Row>(text, [...values])).rows,
  });
  const current = new CurrentTransaction();
  let open = true;
  return {
    kind: "embedded",
    ...sqlOf(pglite),
    script: async (text) => void (await pglite.exec(text)),
    transaction: (work) => pglite.transaction((connection) => current.run(sqlOf(connection as never), work)),
    forQueue: current.forQueue(fromPglite(pglite)),
    [Symbol.asyncDispose]: async () => {
      if (!open) return;
      open = false;
      await pglite.close();
    },
  };
}
