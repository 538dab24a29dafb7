/** Files that builds made. */
import type { BlobStore, Incoming } from "./blobs.ts";
import type { Database } from "./database/database.ts";
import type { Session } from "./sessions.ts";

/** A row of the artifacts table, with the build it belongs to. */
export interface Artifact {
  session: number;
  type: string;
  name: string;
  digest: string;
  bytes: number;
  created_at: Date;
}

/** Artifacts of builds. */
export class Artifacts {
  readonly #database: Database;
  readonly #blobs: BlobStore;

  constructor(database: Database, blobs: BlobStore) {
    this.#database = database;
    this.#blobs = blobs;
  }

  /** Keeps a received file as an artifact of a session; one of the same type and name takes the place of the former. */
  async add(session: Session, type: string, name: string, incoming: Incoming): Promise<void> {
    await incoming.keep();
    await this.#database.query(
      `insert into croft.artifacts (session, type, name, digest, bytes) values ($1, $2, $3, $4, $5)
       on conflict (session, type, name) do update set digest = excluded.digest, bytes = excluded.bytes`,
      [session.id, type, name, incoming.digest, incoming.bytes],
    );
  }

  /** The artifacts of a build, of all attempts, by attempt, type and name. */
  async of(build: number): Promise<Artifact[]> {
    return await this.#database.query<Artifact>(
      `select a.* from croft.artifacts a join croft.sessions s on s.id = a.session
       where s.build = $1 order by a.session, a.type, a.name`,
      [build],
    );
  }

  /** Whether this content is an artifact of the build, and under which name. */
  async find(build: number, digest: string): Promise<Artifact | undefined> {
    return (await this.of(build)).find((artifact) => artifact.digest === digest);
  }

  read(artifact: Artifact): ReturnType<BlobStore["read"]> {
    return this.#blobs.read(artifact.digest);
  }
}
