/** Files that builds made. */
import type { BlobStore, Incoming } from "../files/blobs.ts";
import type { Database, Sql } from "../database/database.ts";
import { maskedText } from "../files/secret-mask.ts";
import type { BuildSecrets } from "./secrets.ts";
import { isCurrent, type Session } from "./session.ts";

/** A row of the artifacts table, with the build it belongs to. */
export interface Artifact {
  session: number;
  type: string;
  name: string;
  digest: string;
  bytes: number;
  created_at: Date;
}

/** A file of an upload. */
export interface ReceivedFile {
  name: string;
  incoming: Incoming;
}

/** Artifacts of builds. */
export class Artifacts {
  readonly #database: Database;
  readonly #blobs: Pick<BlobStore, "open" | "keep" | "hold">;
  readonly #secrets: Pick<BuildSecrets, "of">;

  constructor(
    database: Database,
    blobs: Pick<BlobStore, "open" | "keep" | "hold">,
    secrets: Pick<BuildSecrets, "of">,
  ) {
    this.#database = database;
    this.#blobs = blobs;
    this.#secrets = secrets;
  }

  /**
   * Keeps received files as artifacts of a session, all or none; one of the same type and name takes the place of
   * the former.
   *
   * @param note writes down what is known of them, in the transaction that keeps them.
   * @returns false if the session is over: an upload may take longer than the build stays with its agent.
   */
  async add(
    session: Session,
    type: string,
    files: readonly ReceivedFile[],
    note: (sql: Sql) => Promise<void> = async () => {},
  ): Promise<boolean> {
    const received = files.map(({ incoming }) => incoming);
    await this.#blobs.keep(received);
    const secrets = await this.#secrets.of(session.build);
    return await this.#database.transaction(async (sql) => {
      await sql.query("select id from croft.builds where id = $1 for update", [session.build]);
      const [current] = await sql.query<Session>("select * from croft.sessions where id = $1", [session.id]);
      if (!current || !isCurrent(current)) return false;
      await this.#blobs.hold(
        sql,
        received.map(({ digest }) => digest),
      );
      for (const { name, incoming } of files)
        await sql.query(
          `insert into croft.artifacts (session, type, name, digest, bytes) values ($1, $2, $3, $4, $5)
           on conflict (session, type, name) do update set digest = excluded.digest, bytes = excluded.bytes`,
          [session.id, type, maskedText(name, secrets), incoming.digest, incoming.bytes],
        );
      await note(sql);
      return true;
    });
  }

  /** The artifacts of a build, of all attempts, by attempt, type and name. */
  async of(build: number): Promise<Artifact[]> {
    return await this.#database.query<Artifact>(
      `select a.* from croft.artifacts a join croft.sessions s on s.id = a.session
       where s.build = $1 order by a.session, a.type, a.name`,
      [build],
    );
  }

  /** How many a session has brought. */
  async countOf(session: number): Promise<number> {
    const [row] = await this.#database.query<{ count: number }>(
      "select count(*)::integer as count from croft.artifacts where session = $1",
      [session],
    );
    return row!.count;
  }

  /** An artifact of the build with this content, the one of this name if several have it. */
  async find(build: number, digest: string, name: string): Promise<Artifact | undefined> {
    const same = (await this.of(build)).filter((artifact) => artifact.digest === digest);
    return same.find((artifact) => artifact.name === name) ?? same[0];
  }

  open(artifact: Artifact): ReturnType<BlobStore["open"]> {
    return this.#blobs.open(artifact.digest);
  }
}
