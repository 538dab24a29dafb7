/**
 * Reads the `.croft.yaml` of events, and queues what it says. An event waits in state `reading`; whoever reads it holds it for a
 * while (`held_until`), and queues its builds in the transaction that has it leave that state: so it is built once, whoever dies
 * between. A server that does not answer is asked again with growing pauses; a file with something wrong in it is told of at the
 * commit, and read again only when somebody asks for that.
 *
 * Which file: that of the commit itself, but for a fork's pull request that of the branch that it is to go into, as it is when somebody
 * has approved it: a stranger does not say what is built here.
 */
import { pauseAfter, type Patience } from "../../os/backoff.ts";
import { Failure, reasonOf } from "../../os/failure.ts";
import type { Log } from "../../os/log.ts";
import type { Builds } from "../builds/builds.ts";
import type { Database, Sql } from "../database/database.ts";
import { readWanted, sourceFileName, usualWanted, type Wanted } from "../source-file/check.ts";
import type { Vault } from "../secrets/vault.ts";
import { fetchFile, FetchFailure, type Fetched } from "../source-file/fetch.ts";
import { matchesPattern } from "../builds/name-pattern.ts";
import { isOfFork, type ForgeEvent } from "./event.ts";
import { isOnBadge, submitterOf, type EventRow } from "./forge-events.ts";
import { noteLater } from "./later-builds.ts";
import { plannedBuilds } from "./planned.ts";
import type { Repository } from "./repositories.ts";
import { setSchedules } from "./schedules.ts";

/** After three hours it is given up. */
const usualPatience: Patience = { firstPauseSeconds: 10, longestPauseSeconds: 3600, mostTries: 10 };

/** Read at a time. */
const batch = 4;
/** Longer than reading may take; if its holder died, another one goes on after that. */
const holdSeconds = 600;

interface ReadingParts {
  database: Database;
  builds: Pick<Builds, "submitAll" | "targetNames">;
  vault: Pick<Vault, "credentialFor">;
  repositories: readonly Repository[];
  protocols: readonly string[];
  log: Log;
}

/** Events whose files are to be read. */
export class SourceReading {
  readonly #parts: ReadingParts;
  readonly #patience: Patience;

  constructor(parts: ReadingParts, patience = usualPatience) {
    this.#parts = parts;
    this.#patience = patience;
  }

  /** Reads what is due. @returns whether there may be more. */
  async readDue(signal: AbortSignal): Promise<boolean> {
    const rows = await this.#parts.database.query<EventRow>(
      `update croft.forge_events set held_until = now() + make_interval(secs => ${holdSeconds})
       where id in (select id from croft.forge_events
         where state = 'reading' and due_at <= now() and (held_until is null or held_until < now())
         order by due_at limit ${batch} for update skip locked)
       returning *`,
    );
    await Promise.all(rows.map((row) => this.#read(row, signal)));
    return rows.length === batch;
  }

  /** Seconds until the next one is due; undefined if none is. */
  async nextSeconds(): Promise<number | undefined> {
    const [row] = await this.#parts.database.query<{ seconds: number | null }>(
      `select extract(epoch from min(greatest(due_at, held_until)) - now())::double precision as seconds
       from croft.forge_events where state = 'reading'`,
    );
    return row?.seconds ?? undefined;
  }

  async #read(row: EventRow, signal: AbortSignal): Promise<void> {
    const { repositories } = this.#parts;
    const repository = repositories.find(({ name }) => name === row.repository);
    try {
      if (!repository)
        throw new Failure(`build ${row.repository}`, "the configuration does not have it any more");
      const fetched = await this.#fetch(repository, row.event, signal);
      const wanted = this.#wanted(repository, fetched);
      const event = row.event.commit === "" ? { ...row.event, commit: fetched.commit } : row.event;
      await this.#queue(repository, { ...row, event }, wanted);
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof Failure)) throw error;
      await this.#note(row, error);
    }
  }

  async #fetch({ url }: Repository, event: ForgeEvent, signal: AbortSignal): Promise<Fetched> {
    const { protocols } = this.#parts;
    const branch = isOfFork(event) ? event.pull!.base : event.reference;
    const what = isOfFork(event) || event.commit === "" ? `refs/heads/${branch}` : event.commit;
    const credential = await this.#parts.vault.credentialFor(url);
    return await fetchFile(
      { url, what, file: sourceFileName, protocols, ...(credential && { credential }) },
      signal,
    );
  }

  #wanted({ targets, notifications, auxiliary }: Repository, { text }: Fetched): Wanted {
    const names = this.#parts.builds.targetNames;
    const allowed = {
      targets: names.filter((name) => targets.some((pattern) => matchesPattern(pattern, name))),
      ...{ notifications, auxiliary },
    };
    return text === undefined ? usualWanted(allowed) : readWanted(text, allowed);
  }

  async #queue(repository: Repository, row: EventRow, wanted: Wanted): Promise<void> {
    const planned = plannedBuilds(repository, row.event, wanted.builds);
    const now = planned.filter(({ needs }) => needs.length === 0);
    const isKept = (label: string | undefined) =>
      now.some((one) => one.isKept && one.name === (label ?? "").split("/")[0]);
    const builds = await this.#parts.builds.submitAll(
      now.flatMap(({ submissions }) => submissions),
      submitterOf(repository),
      {
        onBadge: isOnBadge(row.event),
        isTrusted: row.trusted,
        isKept,
        note: async (sql) => {
          if (!(await leaveReading(sql, row))) return undefined;
          await noteLater(
            sql,
            row.id,
            planned.filter(({ needs }) => needs.length > 0),
          );
          await setSchedules(sql, row, wanted.schedules, new Date());
          return row.id;
        },
      },
    );
    this.#parts.log.info(
      { event: row.id, builds: builds.map(({ id }) => id) },
      "queued what a repository asks for",
    );
  }

  async #note(row: EventRow, error: Failure): Promise<void> {
    const { database, log } = this.#parts;
    const tries = row.tries + 1;
    const isOver = !(error instanceof FetchFailure) || tries >= this.#patience.mostTries;
    const about = { event: row.id, repository: row.repository, reason: reasonOf(error), tries };
    log.warn(
      about,
      isOver ? "nothing is built for an event" : "cannot read a repository's file; trying again",
    );
    const pause = pauseAfter(tries, this.#patience);
    await database.transaction(async (sql) => {
      await sql.query(
        `update croft.forge_events set held_until = null, tries = $2, trouble = $3, state = $4,
           due_at = now() + make_interval(secs => $5::double precision) where id = $1 and state = 'reading'`,
        [row.id, tries, error.message.slice(0, 2000), isOver ? "failed" : "reading", pause],
      );
      if (isOver && row.event.commit !== "")
        await sql.query(
          `insert into croft.commit_statuses (event, context) values ($1, 'croft')
           on conflict (event, context) do update set open = true, tries = 0, due_at = clock_timestamp()`,
          [row.id],
        );
    });
  }
}

/** @returns false if somebody else has queued its builds. */
async function leaveReading(sql: Sql, { id, event }: EventRow): Promise<boolean> {
  const [left] = await sql.query(
    `update croft.forge_events set state = 'built', held_until = null, trouble = null, commit = $2, event = $3
     where id = $1 and state = 'reading' returning id`,
    [id, event.commit, JSON.stringify(event)],
  );
  if (!left) return false;
  await sql.query(
    "update croft.commit_statuses set open = true, due_at = clock_timestamp() where event = $1 and build is null",
    [id],
  );
  return true;
}
