/**
 * Sessions: one agent's attempt at one build, from the task it was given to the result it sends.
 *
 * ```
 *            lease over            another agent takes the build
 *   active ------------> expired ------------------------------> superseded
 *     |                     |
 *     +------ result -------+--> finished        (cancelled: the build was)
 * ```
 *
 * Invariants: a build has at most one session in `active` or `expired`, its latest; a result is stored, the build's
 * state changed in one transaction, so that an answer means all of it is on disk;
 * whoever changes a build or its sessions holds the build's row.
 */
import { randomBytes } from "node:crypto";
import type { Build } from "./build.ts";
import type { Changes } from "./changes.ts";
import type { Database, Sql } from "../database/database.ts";
import { machineFor, type Offer } from "./offer.ts";
import type { BuildQueue } from "./queue.ts";
import type { Log } from "../../os/log.ts";

type SessionState = "active" | "finished" | "expired" | "superseded" | "cancelled";

/** A row of the sessions table. */
export interface Session {
  id: number;
  token: string;
  build: number;
  attempt: number;
  agent: string;
  toolchain: string;
  machine: string;
  fingerprint: string | null;
  challenge: string | null;
  state: SessionState;
  status: string | null;
  lease_seconds: number;
  created_at: Date;
  expires_at: Date;
  ended_at: Date | null;
  result_digest: string | null;
}

/** Whether the session is the latest one of its build, and the build waits for its result. */
export function isCurrent(session: Session): boolean {
  return session.state === "active" || session.state === "expired";
}

/** A build that was given to an agent. */
export interface Assignment {
  build: Build;
  session: Session;
}

/** Gives builds to agents and takes them back when their lease is over. */
export class Sessions {
  readonly #database: Database;
  readonly #queue: Pick<BuildQueue, "waiting" | "take" | "putBack">;
  readonly #changes: Changes;
  readonly #marginSeconds: number;
  readonly #withChallenge: boolean;
  readonly #log: Log;
  /** When a session's lease was last written, in milliseconds; chunks come far more often than it must be. */
  readonly #extended = new Map<number, number>();

  constructor(
    database: Database,
    queue: Pick<BuildQueue, "waiting" | "take" | "putBack">,
    changes: Changes,
    settings: { leaseMarginSeconds: number; withChallenge: boolean },
    log: Log,
  ) {
    this.#database = database;
    this.#queue = queue;
    this.#changes = changes;
    this.#marginSeconds = settings.leaseMarginSeconds;
    this.#withChallenge = settings.withChallenge;
    this.#log = log;
  }

  async find(token: string): Promise<Session | undefined> {
    if (!/^[A-Za-z0-9_-]{1,64}$/.test(token)) return undefined; // the database would refuse some other text
    const [session] = await this.#database.query<Session>("select * from croft.sessions where token = $1", [
      token,
    ]);
    return session;
  }

  /** The attempts at a build, first to last. */
  async of(build: number): Promise<Session[]> {
    return await this.#database.query<Session>("select * from croft.sessions where build = $1 order by id", [
      build,
    ]);
  }

  /** The queued build of highest priority that the agent can take, in the order that {@link BuildQueue} explains. */
  async assign(offer: Offer): Promise<Assignment | undefined> {
    await this.expire();
    for (const queue of await this.#queue.waiting()) {
      const machine = machineFor(queue, offer);
      if (machine === undefined) continue;
      const assignment = await this.#database.transaction((sql) =>
        this.#take(sql, queue.name, machine, offer),
      );
      if (!assignment) continue;
      this.#changes.announce("state", assignment.build.id);
      return assignment;
    }
    return undefined;
  }

  async #take(sql: Sql, queue: string, machine: string, offer: Offer): Promise<Assignment | undefined> {
    const build = await this.#queue.take(sql, queue);
    if (!build) return undefined;
    await sql.query(
      `update croft.sessions set state = 'superseded', ended_at = coalesce(ended_at, now())
       where build = $1 and state = 'expired'`,
      [build.id],
    );
    const session = await this.#open(sql, build, machine, offer);
    await sql.query("update croft.builds set session = $2 where id = $1", [build.id, session.id]);
    return { build: { ...build, session: session.id }, session };
  }

  async #open(sql: Sql, build: Build, machine: string, offer: Offer): Promise<Session> {
    const lease = build.specification.timeoutSeconds + this.#marginSeconds;
    const [session] = await sql.query<Session>(
      `insert into croft.sessions (token, build, attempt, agent, toolchain, machine, fingerprint, challenge, state,
         lease_seconds, expires_at)
       values ($1, $2, $3, $4, $5, $6, $7, $8, 'active', $9, now() + $9::integer * interval '1 second') returning *`,
      [
        randomBytes(24).toString("base64url"),
        build.id,
        build.attempts,
        offer.agent,
        offer.toolchain,
        machine,
        offer.fingerprint ?? null,
        this.#withChallenge ? randomBytes(32).toString("hex") : null,
        lease,
      ],
    );
    return session!;
  }

  /**
   * Gives all leases the margin at least, when a controller starts: while there was none, no agent could give a sign
   * of life or its result.
   */
  async renew(): Promise<void> {
    await this.#database.query(
      `update croft.sessions set expires_at = greatest(expires_at, now() + $1::integer * interval '1 second')
       where state = 'active'`,
      [this.#marginSeconds],
    );
  }

  /** A sign of life: the lease lasts at least the margin from now on. */
  async extend(session: Session): Promise<void> {
    const now = Date.now();
    const every = Math.min(10_000, (this.#marginSeconds * 1000) / 4);
    if (now - (this.#extended.get(session.id) ?? 0) < every) return;
    if (this.#extended.size > 1000) this.#extended.clear();
    this.#extended.set(session.id, now);
    await this.#database.query(
      `update croft.sessions set expires_at = greatest(expires_at, now() + $2::integer * interval '1 second')
       where id = $1 and state = 'active'`,
      [session.id, this.#marginSeconds],
    );
  }

  /**
   * Queues the builds again whose leases are over.
   *
   * @returns when the next lease ends, or undefined if nothing is being built.
   */
  async expire(): Promise<Date | undefined> {
    const over = await this.#database.query<Session>(
      "select * from croft.sessions where state = 'active' and expires_at <= now()",
    );
    for (const { build: id, token, agent } of over) {
      const expired = await this.#database.transaction((sql) => this.#expireOne(sql, id, token));
      if (!expired) continue;
      this.#log.warn({ build: id, agent }, "no result before the lease ended; the build is queued again");
      this.#changes.announce("state", id);
    }
    const [next] = await this.#database.query<{ next: Date | null }>(
      "select min(expires_at) as next from croft.sessions where state = 'active'",
    );
    return next?.next ?? undefined;
  }

  async #expireOne(sql: Sql, id: number, token: string): Promise<boolean> {
    const [build] = await sql.query<Build>("select * from croft.builds where id = $1 for update", [id]);
    const [session] = await sql.query<Session>(
      `update croft.sessions set state = 'expired', ended_at = now()
       where token = $1 and state = 'active' and expires_at <= now() returning *`,
      [token],
    );
    if (!build || !session) return false;
    await this.#queue.putBack(sql, build, build.priority);
    return true;
  }
}
