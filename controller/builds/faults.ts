/**
 * Faults of hosts: an agent that was not heard of until its lease ended, or that says it could not do its task. They say
 * nothing about the build, which goes to another host; but what no host gets done is not tried for ever.
 */
import type { BlobStore } from "../files/blobs.ts";
import type { Sql } from "../database/database.ts";
import type { Log } from "../../os/log.ts";
import type { Build } from "./build.ts";
import { countDiagnostics } from "./diagnostics.ts";
import { counted, type BuildQueue } from "./queue.ts";
import { supersedeOthers, type Session } from "./session.ts";

/** The next fault ends the build. */
const mostFaults = 5;
/** Characters of an agent's words that are kept beside the attempt; its log has all of them. */
const longestReason = 1000;

/** The operation with which the controller ends a build. */
const farmOperation = "farm";

/** Counts faults. */
export class Faults {
  readonly #queue: Pick<BuildQueue, "putBack" | "move">;
  readonly #blobs: Pick<BlobStore, "store">;
  readonly #log: Log;

  constructor(queue: Pick<BuildQueue, "putBack" | "move">, blobs: Pick<BlobStore, "store">, log: Log) {
    this.#queue = queue;
    this.#blobs = blobs;
    this.#log = log;
  }

  /**
   * Queues the build again, or ends it if that was one fault too many. The caller holds the build's row.
   *
   * @param session the attempt, over already.
   */
  async add(sql: Sql, build: Build, session: Session, reason: string): Promise<void> {
    await tellReason(sql, session, reason);
    const about = { build: build.id, agent: session.agent, reason };
    const setback = { kind: "fault", host: session.agent } as const;
    const { faults } = counted(build, setback);
    if (faults <= mostFaults) {
      await this.#queue.putBack(sql, build, setback);
      this.#log.warn({ ...about, faults }, "a fault of the host; the build is queued again");
      return;
    }
    await this.#queue.move(sql, build, "finished");
    await this.#tell(sql, build, session);
    // Whatever its agent sends still comes too late: who waited for the build has been told.
    await sql.query("update croft.sessions set state = 'finished', status = 'abort' where id = $1", [
      session.id,
    ]);
    await supersedeOthers(sql, session);
    await sql.query(
      `update croft.builds set state = 'finished', status = 'abort', faults = $2, faulty_host = $3,
         finished_at = now() where id = $1`,
      [build.id, faults, session.agent],
    );
    this.#log.warn({ ...about, faults }, "a fault of the host, the last of too many; the build has ended");
  }

  /** Adds an operation that says which hosts had the build, and why they did not get it done. */
  async #tell(sql: Sql, { id }: Build, session: Session): Promise<void> {
    const attempts = await sql.query<Session>(
      "select * from croft.sessions where build = $1 and fault is not null order by id",
      [id],
    );
    const lines = attempts.map(
      ({ attempt, agent, machine, fault }) =>
        `attempt ${attempt}, ${machine} at ${agent}: ${fault!.replaceAll("\n", "\n  ")}\n`,
    );
    const log = `error: no host got this build done; that is a fault of the farm, not of the build\n${lines.join("")}`;
    const { digest, bytes } = await this.#blobs.store(Buffer.from(log), sql);
    const { lines: count, warnings, errors } = countDiagnostics(log);
    await sql.query(
      `insert into croft.operations (session, ordinal, name, status, log_digest, log_bytes, log_lines, warnings, errors)
       select $1, coalesce(max(ordinal) + 1, 0), $2, 'abort', $3, $4, $5, $6, $7
       from croft.operations where session = $1`,
      [session.id, farmOperation, digest, bytes, count, warnings, errors],
    );
  }
}

/** Keeps beside an attempt what its host could not do. */
export async function tellReason(sql: Sql, { id }: Pick<Session, "id">, reason: string): Promise<void> {
  await sql.query("update croft.sessions set fault = $2 where id = $1", [id, reason.slice(0, longestReason)]);
}
