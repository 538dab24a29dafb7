/**
 * Tells forges what becomes of the commits that they told of: one status for each target, with a link to its build.
 *
 * A row of `croft.commit_statuses` is what a forge knows (`sent`); what it should know follows from the build. Whoever finds a
 * row that is due holds it for a while (`held_until`), sends what is so now, and looks again later: a change that comes
 * meanwhile makes it due once more. So the forge is told by one controller at a time, the last word is the right one whatever
 * is lost between, and states that were over before they could be told are left out.
 */
import { pauseAfter, retryAfterSeconds, type Patience } from "../../os/backoff.ts";
import { reasonOf } from "../../os/failure.ts";
import type { Log } from "../../os/log.ts";
import type { BuildState } from "../builds/build.ts";
import type { Database } from "../database/database.ts";
import type { ForgeEvent } from "./event.ts";
import type { Repository } from "./repositories.ts";
import type { CommitStatus } from "./status-apis.ts";

/** How patiently a forge is told. */
interface StatusPatience extends Patience {
  answerSeconds: number;
}

/** After a day it is given up, and the log says so. */
const usualPatience: StatusPatience = {
  firstPauseSeconds: 10,
  longestPauseSeconds: 7200,
  mostTries: 20,
  answerSeconds: 20,
};

/** Sent at a time. */
const batch = 10;
/** Longer than an answer may take; if its holder died, another one goes on after that. */
const holdSeconds = 120;
/** What has not ended is looked at so often, should a change have gone unheard. */
const lookAgainSeconds = 300;
const answerBytes = 4096;

interface DueStatus {
  id: number;
  due: string;
  context: string;
  sent: string | null;
  tries: number;
  repository: string;
  commit: string;
  event: ForgeEvent;
  /** Null: it is about the event itself. */
  build: number | null;
  state: BuildState | null;
  status: string | null;
  target: string | null;
  eventId: number;
  /** What is wrong with the event, if something is. */
  eventTrouble: string | null;
}

/** Statuses that forges are to be told. */
export class CommitStatuses {
  readonly #database: Database;
  readonly #repositories: ReadonlyMap<string, Repository>;
  readonly #baseUrl: string;
  readonly #log: Log;
  readonly #patience: StatusPatience;

  /** @param baseUrl where people reach this controller, without a slash at the end. */
  constructor(
    database: Database,
    repositories: readonly Repository[],
    baseUrl: string,
    log: Log,
    patience = usualPatience,
  ) {
    this.#database = database;
    this.#repositories = new Map(repositories.map((one) => [one.name, one]));
    this.#baseUrl = baseUrl;
    this.#log = log;
    this.#patience = patience;
  }

  /** Says that a build changed. */
  async note(build: number): Promise<void> {
    await this.#database.query(
      "update croft.commit_statuses set due_at = clock_timestamp() where build = $1 and open",
      [build],
    );
  }

  /** Sends what is due. @returns whether there may be more. */
  async sendDue(signal: AbortSignal): Promise<boolean> {
    const due = await this.#database.query<DueStatus>(
      `with held as (
         update croft.commit_statuses set held_until = now() + make_interval(secs => ${holdSeconds})
         where id in (select id from croft.commit_statuses
           where open and due_at <= now() and (held_until is null or held_until < now())
           order by due_at limit ${batch} for update skip locked)
         returning *)
       select h.id, h.due_at::text as due, h.context, h.sent, h.tries, h.build, e.repository, e.commit, e.event, b.state,
         b.status, b.target, e.id as "eventId", case when e.state = 'failed' then e.trouble end as "eventTrouble"
       from held h join croft.forge_events e on e.id = h.event left join croft.builds b on b.id = h.build`,
    );
    await Promise.all(due.map((one) => this.#settle(one, signal)));
    return due.length === batch;
  }

  /** Seconds until the next one is due; undefined if none is. */
  async nextSeconds(): Promise<number | undefined> {
    const [row] = await this.#database.query<{ seconds: number | null }>(
      `select extract(epoch from min(greatest(due_at, held_until)) - now())::double precision as seconds
       from croft.commit_statuses where open`,
    );
    return row?.seconds ?? undefined;
  }

  async #settle(row: DueStatus, signal: AbortSignal): Promise<void> {
    const repository = this.#repositories.get(row.repository);
    const token = repository?.statuses?.token;
    if (!repository || token === undefined) return this.#close(row, "its repository has no token here");
    const status = statusOf(row, this.#baseUrl);
    const key = `${status.state} ${status.description}`;
    if (key === row.sent) return this.#told(row, status, key);
    const trouble = await this.#send(repository, row, status, signal);
    if (trouble === undefined) return this.#told(row, status, key);
    if (signal.aborted) return;
    const tries = row.tries + 1;
    const about = { repository: row.repository, build: row.build, reason: trouble.reason, tries };
    if (tries >= this.#patience.mostTries) {
      this.#log.error(about, "a forge was not told what became of a commit; given up");
      return this.#close(row, trouble.reason, tries);
    }
    this.#log.warn(about, "cannot tell a forge what became of a commit; trying again");
    const pause = pauseAfter(tries, this.#patience, trouble.afterSeconds);
    await this.#database.query(
      `update croft.commit_statuses set held_until = null, tries = $2, trouble = $3,
         due_at = clock_timestamp() + make_interval(secs => $4::double precision) where id = $1`,
      [row.id, tries, trouble.reason, pause],
    );
  }

  /** The forge knows; what has ended is done with, unless it changed meanwhile. */
  async #told({ id, due }: DueStatus, { state }: CommitStatus, key: string): Promise<void> {
    const isOpen = state === "waiting" || state === "building";
    await this.#database.query(
      `update croft.commit_statuses set held_until = null, sent = $2, tries = 0, trouble = null,
         open = $3 or due_at > $4::timestamptz,
         due_at = case when due_at > $4::timestamptz then due_at
           else clock_timestamp() + make_interval(secs => ${lookAgainSeconds}) end
       where id = $1`,
      [id, key, isOpen, due],
    );
  }

  async #close({ id }: DueStatus, trouble: string, tries = 0): Promise<void> {
    await this.#database.query(
      "update croft.commit_statuses set held_until = null, open = false, trouble = $2, tries = $3 where id = $1",
      [id, trouble, tries],
    );
  }

  /** @returns why the forge was not told; without anything that was sent, the token least of all. */
  async #send(
    { forge, statuses }: Repository,
    { commit, event }: DueStatus,
    status: CommitStatus,
    signal: AbortSignal,
  ): Promise<{ reason: string; afterSeconds: number } | undefined> {
    const place = { api: statuses!.api, fullName: event.repository, commit, token: statuses!.token };
    const { url, headers, body } = forge.statuses.request(place, status);
    const timeout = AbortSignal.timeout(this.#patience.answerSeconds * 1000);
    try {
      const answer = await fetch(url, {
        ...{ method: "POST", headers, body },
        redirect: "manual", // a token is for nobody else
        signal: AbortSignal.any([signal, timeout]),
      });
      const text = await beginningOf(answer);
      if (answer.ok || forge.statuses.hasIt?.(answer.status, text)) return undefined;
      return {
        reason: `the forge answered ${answer.status}`,
        afterSeconds: retryAfterSeconds(answer.headers.get("retry-after")),
      };
    } catch (error) {
      const { cause } = error as Error;
      const reason = timeout.aborted ? "the forge did not answer in time" : reasonOf(cause ?? error);
      return { reason, afterSeconds: 0 };
    }
  }
}

/** As much of an answer as says what it is; the rest is not read. */
async function beginningOf({ body }: Response): Promise<string> {
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  for await (const piece of body ?? []) {
    pieces.push(piece as Uint8Array);
    bytes += (piece as Uint8Array).length;
    if (bytes >= answerBytes) break;
  }
  return Buffer.concat(pieces).subarray(0, answerBytes).toString();
}

/** What is so now. */
function statusOf(row: DueStatus, base: string): CommitStatus {
  const { context, build, state, status, target, eventId, eventTrouble } = row;
  if (state === null || build === null)
    return {
      state: eventTrouble === null ? "success" : "failure",
      context,
      description: eventTrouble?.replace(/^Cannot [^:]*: /, "") ?? "the builds are queued",
      url: `${base}/events/${eventId}`,
    };
  const about = (state: CommitStatus["state"], what: string) => ({
    state,
    context,
    description: `${target ?? ""}: ${what}`,
    url: `${base}/builds/${build}`,
  });
  if (state === "queued") return about("waiting", "queued");
  if (state === "finished") return about(endedAs(status ?? ""), status ?? "");
  return about(state, state);
}

/** The commit's fault is a failure, that of machine or farm an error. */
function endedAs(status: string): CommitStatus["state"] {
  if (status === "success" || status === "warning" || status === "skip") return "success";
  return status === "error" ? "failure" : "error";
}
