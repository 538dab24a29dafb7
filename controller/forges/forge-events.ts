/**
 * What forges told of, each taken once: a request that comes again (the forge saw no answer, somebody pressed "redeliver"), or
 * another about the same commit at the same place within a day, builds nothing. Whoever takes one holds a lock of its
 * repository until its builds are queued, all in one transaction: of two that come at once, the second finds the first.
 */
import { EventEmitter } from "node:events";
import { Failure } from "../../os/failure.ts";
import type { Build } from "../builds/build.ts";
import { ConflictFailure, type Builds } from "../builds/builds.ts";
import { matchesPattern } from "../builds/name-pattern.ts";
import type { Submission } from "../builds/specification.ts";
import type { Database, Sql } from "../database/database.ts";
import type { Vault } from "../secrets/vault.ts";
import { isOfFork, type ForgeEvent } from "./event.ts";
import { publicEvents } from "./event-privacy.ts";
import type { Repository } from "./repositories.ts";

/** A row of the table of events. */
export interface EventRow {
  id: number;
  repository: string;
  delivery: string;
  digest: string;
  event: ForgeEvent;
  trusted: boolean;
  /** `reading`: its file is to be read. */
  state: "reading" | "built" | "waiting" | "rejected" | "superseded" | "failed";
  decided_by: string | null;
  tries: number;
  /** Why its file could not be read, or what is wrong in it. */
  trouble: string | null;
  created_at: Date;
}

/** A request of a forge: what it calls it, and its body's digest. */
interface Delivery {
  id: string;
  digest: string;
}

/** What became of an event. */
export interface Taken {
  /** `reading`: what is built is read first; `conflict`: another event came under this delivery's name. */
  outcome: "built" | "reading" | "waiting" | "known" | "conflict";
  event: number;
  /** Its builds wait for approval. */
  isWaiting: boolean;
  builds: readonly Build[];
}

/** The events of a controller's repositories. */
export class ForgeEvents {
  readonly #database: Database;
  readonly #builds: Pick<Builds, "submitAll">;
  readonly #repositories: readonly Repository[];
  readonly #vault: Pick<Vault, "needingCredential">;
  readonly #emitter = new EventEmitter<{ toRead: [] }>();

  constructor(
    database: Database,
    builds: Pick<Builds, "submitAll">,
    repositories: readonly Repository[],
    vault: Pick<Vault, "needingCredential">,
  ) {
    this.#vault = vault;
    this.#database = database;
    this.#builds = builds;
    this.#repositories = repositories;
  }

  /** Queues what an event asks for, or has it wait for approval; only an event that {@link reasonAgainst} has nothing against. */
  async take(repository: Repository, delivery: Delivery, event: ForgeEvent): Promise<Taken> {
    let taken: Taken | undefined;
    const note = async (sql: Sql, state: EventRow["state"]): Promise<number | undefined> => {
      await sql.query("select pg_advisory_xact_lock(hashtext('croft forge ' || $1))", [repository.name]);
      taken = await knownAs(sql, repository, delivery, event);
      return taken ? undefined : await insert(sql, repository, delivery, event, state);
    };
    if (isOfFork(event)) {
      const id = await this.#database.transaction((sql) => note(sql, "waiting"));
      if (!taken) return { outcome: "waiting", event: id!, isWaiting: true, builds: [] };
      return await this.#withBuilds(taken);
    }
    if (repository.readsFile) {
      const id = await this.#database.transaction((sql) => note(sql, "reading"));
      if (taken) return await this.#withBuilds(taken);
      this.#emitter.emit("toRead");
      return { outcome: "reading", event: id!, isWaiting: false, builds: [] };
    }
    const builds = await this.#builds.submitAll([submissionFor(repository, event)], submitterOf(repository), {
      onBadge: isOnBadge(event),
      isTrusted: isTrusted(repository, event),
      note: (sql) => note(sql, "built"),
    });
    if (!taken) return { outcome: "built", event: builds[0]!.event!, isWaiting: false, builds };
    return await this.#withBuilds(taken);
  }

  /** Calls back when there is a file to read; disposing of the result ends it. */
  onToRead(callback: () => void): Disposable {
    this.#emitter.on("toRead", callback);
    return { [Symbol.dispose]: () => this.#emitter.off("toRead", callback) };
  }

  /** The newest first; those that wait for approval before all. */
  async list(limit: number, withPrivate: boolean): Promise<EventRow[]> {
    return await this.#select(
      withPrivate,
      `order by (state = 'waiting') desc, id desc limit ${Math.trunc(limit)}`,
    );
  }

  /** Those that wait for approval, the oldest first. */
  async waiting(withPrivate: boolean): Promise<EventRow[]> {
    return await this.#select(withPrivate, "and state = 'waiting' order by id limit 500");
  }

  /** Whether everybody may read of an event. */
  async isPublic(id: number): Promise<boolean> {
    return (await this.#select(false, `and id = ${Math.trunc(id)}`)).length > 0;
  }

  async #select(withPrivate: boolean, rest: string): Promise<EventRow[]> {
    const { sql, values } = withPrivate
      ? { sql: "true", values: [] }
      : await publicEvents(this.#vault, this.#repositories);
    return await this.#database.query<EventRow>(
      `select e.* from croft.forge_events e where ${sql} ${rest}`,
      values,
    );
  }

  /**
   * Queues the builds of a pull request that waits: of this commit, and of none that comes to it later. Approval is no trust.
   *
   * @throws {ConflictFailure} if it does not wait any more.
   * @throws {Failure} if its repository is not built any more.
   * @returns undefined if there is no such event; no builds if its file is read first.
   */
  async approve(id: number, by: string): Promise<Build[] | undefined> {
    const row = await this.find(id);
    if (!row) return undefined;
    const repository = this.#repositories.find(({ name }) => name === row.repository);
    if (!repository || reasonAgainst(repository, row.event) !== undefined)
      throw new Failure(`approve ${id}`, "the configuration does not have it built any more");
    if (repository.readsFile) {
      await decide(this.#database, id, "reading", by);
      this.#emitter.emit("toRead");
      return [];
    }
    const submission = submissionFor(repository, row.event);
    return await this.#builds.submitAll([submission], submitterOf(repository), {
      onBadge: false,
      isTrusted: false,
      note: (sql) => decide(sql, id, "built", by),
    });
  }

  /**
   * Has nothing built for a pull request that waits.
   *
   * @throws {ConflictFailure} if it does not wait any more.
   * @returns false if there is no such event.
   */
  async reject(id: number, by: string): Promise<boolean> {
    if (!(await this.find(id))) return false;
    await decide(this.#database, id, "rejected", by);
    return true;
  }

  /**
   * Has the file of an event read again that could not be read.
   *
   * @throws {ConflictFailure} if it is not so.
   * @returns false if there is no such event.
   */
  async readAgain(id: number): Promise<boolean> {
    if (!(await this.find(id))) return false;
    const [row] = await this.#database.query(
      `update croft.forge_events set state = 'reading', tries = 0, due_at = now(), held_until = null
       where id = $1 and state = 'failed' returning id`,
      [id],
    );
    if (!row) throw new ConflictFailure(`read the file of ${id} again`, "it has not failed");
    this.#emitter.emit("toRead");
    return true;
  }

  async find(id: number): Promise<EventRow | undefined> {
    const [row] = await this.#database.query<EventRow>("select * from croft.forge_events where id = $1", [
      id,
    ]);
    return row;
  }

  async #withBuilds(taken: Taken): Promise<Taken> {
    return { ...taken, builds: await this.buildsOf(taken.event) };
  }

  /** What was queued for an event. */
  async buildsOf(event: number): Promise<Build[]> {
    return await this.#database.query<Build>("select * from croft.builds where event = $1 order by id", [
      event,
    ]);
  }
}

/** Why nothing is built for an event, whatever was there before; undefined if something is. */
export function reasonAgainst(repository: Repository, event: ForgeEvent): string | undefined {
  const { kind, reference } = event;
  if (kind === "schedule") return undefined;
  if (kind === "tag")
    return isNamed(repository.tags, reference) ? undefined : `no pattern for tags names '${reference}'`;
  if (kind === "push") {
    const branches = repository.branches ?? [event.defaultBranch ?? ""];
    return isNamed(branches, reference) ? undefined : `the branch '${reference}' is not built`;
  }
  if (repository.pullRequests === "none") return "pull requests are not built";
  if (repository.pullRequests === "own" && isOfFork(event)) return "pull requests of forks are not built";
  return undefined;
}

/**
 * Whether a build may have what is kept from strangers: a push, told by the forge itself, to what the configuration names. Never by
 * its repository's URL, as forges hand out forks' commits there, too.
 */
export function isTrusted({ branches, tags }: Repository, { kind, reference }: ForgeEvent): boolean {
  if (kind === "pull-request") return false;
  return isNamed(kind === "tag" ? tags : (branches ?? []), reference);
}

function isNamed(patterns: readonly string[], name: string): boolean {
  return patterns.some((pattern) => matchesPattern(pattern, name));
}

/** A badge tells of the usual branch; where the forge does not say which that is, of what is built by its name. */
export function isOnBadge({ kind, reference, defaultBranch }: ForgeEvent): boolean {
  if (kind === "schedule") return true;
  return kind === "push" && (defaultBranch === null || reference === defaultBranch);
}

/** Builds for the same repository share their turns with nobody else's. */
export function submitterOf({ name }: Repository): string {
  return `hook:${name}`;
}

/** What is built for an event: its commit, and nothing that comes to its branch afterwards. */
export function submissionFor(repository: Repository, event: ForgeEvent): Submission {
  const { name, url, targets, environment, configuration, secrets, notifications, priority } = repository;
  const reference =
    event.kind === "pull-request" ? repository.forge.pullReference(event.reference) : event.reference;
  // A name that a URL cannot have is left out: the commit is enough, where the server hands it out by its name.
  const named = /^[A-Za-z0-9_./+@-]{1,200}$/.test(reference) ? `${reference}@` : "";
  return {
    name,
    version: "0",
    repository: `${url}#${named}${event.commit}`,
    repositoryType: "git",
    targets,
    ...(environment === undefined ? {} : { environment }),
    ...(configuration === undefined ? {} : { configuration }),
    secrets,
    notifications,
    priority,
  };
}

async function decide(
  sql: Sql,
  id: number,
  state: "built" | "reading" | "rejected",
  by: string,
): Promise<number> {
  const [row] = await sql.query<{ id: number }>(
    "update croft.forge_events set state = $2, decided_by = $3, due_at = now() where id = $1 and state = 'waiting' returning id",
    [id, state, by],
  );
  if (!row) throw new ConflictFailure(`decide on ${id}`, "it does not wait any more");
  return row.id;
}

async function knownAs(
  sql: Sql,
  { name }: Repository,
  delivery: Delivery,
  { kind, reference, commit }: ForgeEvent,
): Promise<Taken | undefined> {
  const [same] = await sql.query<EventRow>(
    "select * from croft.forge_events where repository = $1 and delivery = $2",
    [name, delivery.id],
  );
  if (same)
    return {
      isWaiting: same.state === "waiting",
      outcome: same.digest === delivery.digest ? "known" : "conflict",
      event: same.id,
      builds: [],
    };
  const [recent] = await sql.query<EventRow>(
    `select * from croft.forge_events where repository = $1 and kind = $2 and reference = $3 and commit = $4
       and created_at > now() - interval '1 day' order by id desc limit 1`,
    [name, kind, reference, commit],
  );
  return recent && { outcome: "known", event: recent.id, isWaiting: recent.state === "waiting", builds: [] };
}

async function insert(
  sql: Sql,
  repository: Repository,
  delivery: Delivery,
  event: ForgeEvent,
  state: EventRow["state"],
): Promise<number> {
  // What came to a pull request before is not asked about any more.
  if (event.kind === "pull-request")
    await sql.query(
      `update croft.forge_events set state = 'superseded'
       where repository = $1 and kind = 'pull-request' and reference = $2 and state = 'waiting'`,
      [repository.name, event.reference],
    );
  const [row] = await sql.query<{ id: number }>(
    `insert into croft.forge_events (repository, delivery, digest, kind, reference, commit, event, trusted, state)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9) returning id`,
    [
      repository.name,
      delivery.id,
      delivery.digest,
      event.kind,
      event.reference,
      event.commit,
      JSON.stringify(event),
      isTrusted(repository, event),
      state,
    ],
  );
  return row!.id;
}
