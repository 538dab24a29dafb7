/** Takes the results of builds: logs into the blob store, then everything else in one transaction. */
import { createHash } from "node:crypto";
import type { BlobStore } from "../files/blobs.ts";
import type { KeptLiveLogs } from "../files/live-log-chunk.ts";
import { maskedText, maskWhole } from "../files/secret-mask.ts";
import { croftChecksum, isAgentAbort, isRefusedHere } from "../../manifests/result.ts";
import type { Build } from "./build.ts";
import type { Changes } from "./noting/changes.ts";
import type { Database, Sql } from "../database/database.ts";
import { countDiagnostics } from "./diagnostics.ts";
import { tellReason, type Faults } from "./faults.ts";
import { counted, type BuildQueue, type Setback } from "./queue.ts";
import type { BuildSecrets } from "./secrets.ts";
import { isCurrent, supersedeOthers, type Session } from "./session.ts";
import { noteSame } from "./unchanged.ts";
import type { Log } from "../../os/log.ts";

/** The result of an attempt, as its manifest says. */
export interface BuildResult {
  version: string;
  status: string;
  operations: readonly { name: string; status: string; log: string }[];
  workerChecksum?: string;
  dependencyChecksum?: string;
  agentChecksum?: string;
}

/** `stored` also stands for a result that had been stored before; `gone`: the session is not the build's any more. */
export type ResultOutcome = "stored" | "gone";

interface StoredOperation {
  name: string;
  status: string;
  digest: string;
  bytes: number;
  lines: number;
  warnings: number;
  errors: number;
}

/** What is to be written of an attempt. */
interface Attempt {
  result: BuildResult;
  operations: readonly StoredOperation[];
  digest: string;
  /** What the host could not do, if that ended it. */
  fault: string | undefined;
  /** Why the host refused it, if it did. */
  refusal: string | undefined;
}

/** Where the parts of a result go. */
interface ResultParts {
  readonly database: Database;
  readonly queue: Pick<BuildQueue, "putBack" | "move">;
  readonly faults: Pick<Faults, "add">;
  readonly blobs: Pick<BlobStore, "store" | "hold">;
  readonly liveLogs: Pick<KeptLiveLogs, "finish">;
  readonly secrets: Pick<BuildSecrets, "of">;
  readonly changes: Changes;
}

/** Stores results. */
export class Results {
  readonly #parts: ResultParts;
  readonly #retries: number;
  readonly #log: Log;

  constructor(parts: ResultParts, retries: number, log: Log) {
    this.#parts = parts;
    this.#retries = retries;
    this.#log = log;
  }

  /** When it returns `stored`, the result survives whatever happens to the process. */
  async store(session: Session, result: BuildResult): Promise<ResultOutcome> {
    const digest = digestOf(result);
    if (isRepeated(session, digest)) return "stored";
    if (!isCurrent(session)) return "gone";
    const { database, secrets, liveLogs, changes } = this.#parts;
    const hidden = await secrets.of(session.build);
    await liveLogs.finish(session.id);
    const operations: StoredOperation[] = [];
    for (const operation of result.operations) operations.push(await this.#storeLog(operation, hidden));
    const masked = { ...result, version: maskedText(result.version, hidden) };
    const attempt = {
      ...{ result: masked, operations, digest },
      fault: result.status === "abort" ? hostsReason(result, hidden) : undefined,
      refusal: isRefusedHere(result) ? hostsReason(result, hidden) : undefined,
    };
    const outcome = await database.transaction((sql) => this.#record(sql, session, attempt));
    if (outcome === "stored") changes.announce("state", session.build);
    return outcome;
  }

  async #storeLog(
    { name, status, log }: BuildResult["operations"][number],
    secrets: readonly string[],
  ): Promise<StoredOperation> {
    const text = Buffer.from(log);
    maskWhole(text, secrets);
    const { digest, bytes } = await this.#parts.blobs.store(text);
    return { name: maskedText(name, secrets), status, digest, bytes, ...countDiagnostics(log) };
  }

  async #record(sql: Sql, { id, build: buildId }: Session, attempt: Attempt): Promise<ResultOutcome> {
    const { result, operations, digest } = attempt;
    const [build] = await sql.query<Build>("select * from croft.builds where id = $1 for update", [buildId]);
    const [session] = await sql.query<Session>("select * from croft.sessions where id = $1", [id]);
    if (!build || !session) return "gone";
    if (isRepeated(session, digest)) return "stored";
    if (!isCurrent(session)) return "gone";
    await this.#parts.blobs.hold(
      sql,
      operations.map((one) => one.digest),
    );
    await sql.query(
      `update croft.sessions set state = 'finished', status = $2, ended_at = now(), result_digest = $3,
         worker_checksum = $4, dependency_checksum = $5, agent_checksum = $6 where id = $1`,
      [
        id,
        result.status,
        digest,
        result.workerChecksum ?? null,
        result.dependencyChecksum ?? null,
        result.agentChecksum ?? null,
      ],
    );
    for (const [ordinal, one] of operations.entries())
      await sql.query(
        `insert into croft.operations (session, ordinal, name, status, log_digest, log_bytes, log_lines, warnings,
           errors) values ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
        [id, ordinal, one.name, one.status, one.digest, one.bytes, one.lines, one.warnings, one.errors],
      );
    await this.#settle(sql, build, session, attempt);
    return "stored";
  }

  /** Ends the build, or queues it again where the attempt says nothing about the package. */
  async #settle(
    sql: Sql,
    build: Build,
    session: Session,
    { result, fault, refusal }: Attempt,
  ): Promise<void> {
    const { queue, faults } = this.#parts;
    const { status, version } = result;
    const hasBuild = session.state !== "expired";
    // That of an expired session is counted; its build is in the queue already, or with another agent.
    if (fault !== undefined && hasBuild) return faults.add(sql, build, session, fault);
    if (fault !== undefined) return;
    if (refusal !== undefined) await tellReason(sql, session, refusal);
    const setback = refusal === undefined ? setbackOf(status) : refusalBy(session);
    if (setback && !hasBuild && build.state === "building") return;
    const counters = setback ? counted(build, setback) : build;
    if (setback && (setback.kind !== "abort" || counters.aborts <= this.#retries)) {
      await queue.putBack(sql, build, setback);
      this.#log.info({ build: build.id, agent: session.agent, status }, "queued again");
      return;
    }
    await queue.move(sql, build, "finished");
    await sql.query("delete from croft.handed_secrets where build = $1", [build.id]);
    await supersedeOthers(sql, session);
    await sql.query(
      `update croft.builds set state = 'finished', status = $2, aborts = $3, faulty_host = null, finished_at = now(),
         version = case when version = '0' then $4 else version end, session = $5 where id = $1`,
      [build.id, status, counters.aborts, version, session.id],
    );
    if (status === "skip") await noteSame(sql, build, result);
    this.#log.info({ build: build.id, agent: session.agent, status }, "finished");
  }
}

/**
 * An `abort` of the agent's own, and not of a machine's, is what its host could not do. What other makes' agents pass on may
 * be a machine's words.
 */
function hostsReason(
  { operations, agentChecksum = "" }: BuildResult,
  secrets: readonly string[],
): string | undefined {
  if (!croftChecksum.test(agentChecksum)) return undefined;
  const own = operations.find(isAgentAbort);
  if (!own) return undefined;
  return maskedText(own.log, secrets).replaceAll("\0", "?").trim();
}

function refusalBy({ agent }: Session): Setback {
  return { kind: "refusal", host: agent };
}

/** What an attempt was that says nothing about the package. */
function setbackOf(status: string): Setback | undefined {
  return status === "abort" || status === "interrupt" ? { kind: status } : undefined;
}

function isRepeated(session: Session, digest: string): boolean {
  return session.state === "finished" && session.result_digest === digest;
}

/** The same result is told by its content: an agent may sign or write it anew. */
function digestOf(result: BuildResult): string {
  const hash = createHash("sha256");
  const add = (text: string) => hash.update(`${Buffer.byteLength(text)}:`).update(text);
  add(result.version);
  add(result.status);
  for (const { name, status, log } of result.operations) [name, status, log].forEach(add);
  return hash.digest("hex");
}
