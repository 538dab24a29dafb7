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
 * state changed and its job ended or put back in one transaction, so that an answer means all of it is on disk;
 * whoever changes a build or its sessions holds the build's row.
 */
import { randomBytes } from "node:crypto";
import type { Build } from "./build.ts";
import type { Changes } from "./changes.ts";
import type { Database, Sql } from "../database/database.ts";
import { matchesPattern } from "./name-pattern.ts";
import type { BuildQueue, QueueKey } from "./queue.ts";
import type { Log } from "../../os/log.ts";

/** What an agent offers. */
export interface Offer {
  agent: string;
  toolchain: string;
  interactive: "false" | "true" | "both";
  fingerprint?: string;
  /** Names of the build machines, the agent's favourite first. */
  machines: readonly string[];
}

export type SessionState = "active" | "finished" | "expired" | "superseded" | "cancelled";

/** A row of the sessions table. */
export interface Session {
  id: number;
  token: string;
  build: number;
  attempt: number;
  claim: number;
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

interface Candidate extends QueueKey {
  queue: string;
}

/** Gives builds to agents and takes them back when their lease is over. */
export class Sessions {
  readonly #database: Database;
  readonly #queue: BuildQueue;
  readonly #changes: Changes;
  readonly #marginSeconds: number;
  readonly #withChallenge: boolean;
  readonly #log: Log;
  /** When a session's lease was last written, in milliseconds; chunks come far more often than it must be. */
  readonly #extended = new Map<number, number>();

  constructor(
    database: Database,
    queue: BuildQueue,
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

  /** The queued build of highest priority that the agent can take, the oldest first. */
  async assign(offer: Offer): Promise<Assignment | undefined> {
    await this.expire();
    const candidates = await this.#database.query<Candidate>(
      `select queue, target, machine, toolchain, interactive from (
         select distinct on (q.name) q.name as queue, q.target, q.machine, q.toolchain, q.interactive,
           b.queue_priority, b.id
         from croft.builds b join croft.queues q on q.name = b.queue where b.state = 'queued'
         order by q.name, b.queue_priority desc, b.id
       ) as firsts order by queue_priority desc, id`,
    );
    for (const candidate of candidates) {
      const machine = machineFor(candidate, offer);
      if (machine === undefined) continue;
      const assignment = await this.#database.transaction((sql) =>
        this.#take(sql, candidate.queue, machine, offer),
      );
      if (!assignment) continue;
      this.#changes.announce("state", assignment.build.id);
      return assignment;
    }
    return undefined;
  }

  async #take(sql: Sql, queue: string, machine: string, offer: Offer): Promise<Assignment | undefined> {
    for (;;) {
      const claim = await this.#queue.claim(queue);
      if (!claim) return undefined;
      const [build] = await sql.query<Build>("select * from croft.builds where job = $1 for update", [
        claim.job,
      ]);
      if (!build || build.state === "finished" || build.state === "cancelled") {
        await this.#queue.finish(queue, claim.job);
        continue;
      }
      // The queue's own expiry gave it out though its agent still gives signs of life: the claim is that agent's.
      const [held] = await sql.query(
        `update croft.sessions set claim = $2 where build = $1 and state = 'active' and expires_at > now()
         returning id`,
        [build.id, claim.claim],
      );
      if (held) continue;
      await sql.query(
        `update croft.sessions set state = 'superseded', ended_at = coalesce(ended_at, now())
         where build = $1 and state in ('active', 'expired')`,
        [build.id],
      );
      const session = await this.#open(sql, build, claim.claim, machine, offer);
      const [building] = await sql.query<Build>(
        `update croft.builds set state = 'building', session = $2, attempts = attempts + 1,
           started_at = now(), finished_at = null where id = $1 returning *`,
        [build.id, session.id],
      );
      return { build: building!, session };
    }
  }

  async #open(sql: Sql, build: Build, claim: number, machine: string, offer: Offer): Promise<Session> {
    const lease = build.specification.timeoutSeconds + this.#marginSeconds;
    const [session] = await sql.query<Session>(
      `insert into croft.sessions (token, build, attempt, claim, agent, toolchain, machine, fingerprint, challenge,
         state, lease_seconds, expires_at)
       values ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'active', $10, now() + $10::integer * interval '1 second') returning *`,
      [
        randomBytes(24).toString("base64url"),
        build.id,
        build.attempts + 1,
        claim,
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
    await this.#queue.putBack(build.queue, { job: build.job, claim: session.claim }, build.priority);
    await sql.query(
      "update croft.builds set state = 'queued', queue_priority = priority, queued_at = now() where id = $1",
      [id],
    );
    return true;
  }
}

function machineFor(candidate: Candidate, offer: Offer): string | undefined {
  const accepted = offer.interactive === "both" || candidate.interactive === (offer.interactive === "true");
  if (!accepted || !matchesPattern(candidate.toolchain, offer.toolchain)) return undefined;
  return offer.machines.find((name) => matchesPattern(candidate.machine, name));
}
