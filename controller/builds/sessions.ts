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
 * A lease that ends is a fault of the host (faults.ts); the one that is too many finishes the session with the build.
 *
 * Invariants: a build has at most one session in `active` or `expired`, its latest; a result is stored, the build's
 * state changed in one transaction, so that an answer means all of it is on disk;
 * whoever changes a build or its sessions holds the build's row.
 */
import { randomBytes } from "node:crypto";
import type { Build } from "./build.ts";
import type { Changes } from "./changes.ts";
import type { Database, Sql } from "../database/database.ts";
import type { Session } from "./session.ts";
import { machineFor, type Offer } from "./offer.ts";
import type { Faults } from "./faults.ts";
import type { BuildQueue, QueueKey, WaitingQueue } from "./queue.ts";
import { LeaseClock } from "./lease-clock.ts";
import type { Log } from "../../os/log.ts";

/** A build that was given to an agent. */
export interface Assignment {
  build: Build;
  session: Session;
}

/** What sessions need of a controller. */
interface SessionParts {
  readonly database: Database;
  readonly queue: Pick<BuildQueue, "waiting" | "take">;
  readonly faults: Pick<Faults, "add">;
  readonly changes: Changes;
  /** Whether another host than one offers what a queue needs. */
  readonly isOfferedElsewhere: (queue: QueueKey, than: string, croftOnly: boolean) => boolean;
  readonly log: Log;
}

export interface SessionSettings {
  leaseMarginSeconds: number;
  /** Of an interactive build; of others their target says it. */
  interactiveTimeoutSeconds: number;
  withChallenge: boolean;
  /** A clock that is never set, in milliseconds. */
  now?: () => number;
}

/** Gives builds to agents and takes them back when their lease is over. */
export class Sessions {
  readonly #parts: SessionParts;
  readonly #settings: SessionSettings;
  /** When a session's lease was last written, in milliseconds; chunks come far more often than it must be. */
  readonly #extended = new Map<number, number>();
  readonly #now: () => number;
  readonly #clock: LeaseClock;

  constructor(parts: SessionParts, settings: SessionSettings) {
    this.#parts = parts;
    this.#settings = settings;
    this.#now = settings.now ?? (() => performance.now());
    this.#clock = new LeaseClock(this.#now);
  }

  async find(token: string): Promise<Session | undefined> {
    if (!/^[A-Za-z0-9_-]{1,64}$/.test(token)) return undefined; // the database would refuse some other text
    const [session] = await this.#parts.database.query<Session>(
      "select * from croft.sessions where token = $1",
      [token],
    );
    return session;
  }

  /** The attempts at a build, first to last. */
  async of(build: number): Promise<Session[]> {
    return await this.#parts.database.query<Session>(
      "select * from croft.sessions where build = $1 order by id",
      [build],
    );
  }

  /** The queued build of highest priority that the agent can take, in the order that {@link BuildQueue} explains. */
  async assign(offer: Offer): Promise<Assignment | undefined> {
    await this.expire();
    for (const queue of await this.#parts.queue.waiting(offer.isForeign)) {
      const machine = machineFor(queue, offer);
      if (machine === undefined) continue;
      const assignment = await this.#parts.database.transaction((sql) =>
        this.#take(sql, queue, machine, offer),
      );
      if (!assignment) continue;
      this.#parts.changes.announce("state", assignment.build.id);
      return assignment;
    }
    return undefined;
  }

  async #take(sql: Sql, queue: WaitingQueue, machine: string, offer: Offer): Promise<Assignment | undefined> {
    const { queue: builds, isOfferedElsewhere } = this.#parts;
    const hasAlternative = (build: Build) => isOfferedElsewhere(queue, offer.agent, build.croft_only);
    const { agent: host, isForeign = false } = offer;
    const build = await builds.take(sql, queue.name, { host, isForeign, hasAlternative });
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

  /** How long an agent may take for a build. */
  timeoutSeconds({ specification }: Build): number {
    const { interactive, timeoutSeconds } = specification;
    return interactive === undefined ? timeoutSeconds : this.#settings.interactiveTimeoutSeconds;
  }

  async #open(sql: Sql, build: Build, machine: string, offer: Offer): Promise<Session> {
    const lease = this.timeoutSeconds(build) + this.#settings.leaseMarginSeconds;
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
        this.#settings.withChallenge ? randomBytes(32).toString("hex") : null,
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
    await this.#parts.database.query(
      `update croft.sessions set expires_at = greatest(expires_at, now() + $1::integer * interval '1 second')
       where state = 'active'`,
      [this.#settings.leaseMarginSeconds],
    );
  }

  /** A sign of life: the lease lasts at least the margin from now on. */
  async extend(session: Session): Promise<void> {
    const now = this.#now();
    const every = Math.min(10_000, (this.#settings.leaseMarginSeconds * 1000) / 4);
    if (now - (this.#extended.get(session.id) ?? -Infinity) < every) return;
    if (this.#extended.size > 1000) this.#extended.clear();
    this.#extended.set(session.id, now);
    await this.#parts.database.query(
      `update croft.sessions set expires_at = greatest(expires_at, now() + $2::integer * interval '1 second')
       where id = $1 and state = 'active'`,
      [session.id, this.#settings.leaseMarginSeconds],
    );
  }

  /**
   * Queues the builds again whose leases are over, or ends them if that has happened too often.
   *
   * @returns when the next lease ends, or undefined if nothing is being built.
   */
  async expire(): Promise<Date | undefined> {
    let over = await this.#over();
    if (over.length > 0) {
      const [clock] = await this.#parts.database.query<{ now: Date }>("select now() as now");
      if (clock && (await this.#mindClock(clock.now))) over = await this.#over();
    }
    for (const { build: id, token } of over) {
      const expired = await this.#parts.database.transaction((sql) => this.#expireOne(sql, id, token));
      if (expired) this.#parts.changes.announce("state", id);
    }
    const [next] = await this.#parts.database.query<{ next: Date | null; now: Date }>(
      "select min(expires_at) as next, now() as now from croft.sessions where state = 'active'",
    );
    if (next) await this.#mindClock(next.now);
    return next?.next ?? undefined;
  }

  #over(): Promise<Session[]> {
    return this.#parts.database.query<Session>(
      "select * from croft.sessions where state = 'active' and expires_at <= now()",
    );
  }

  /** Neither a clock that was set nor a controller that stood still takes a build from an agent. */
  async #mindClock(now: Date): Promise<boolean> {
    const seen = this.#clock.look(now);
    if (seen === "steady") return false;
    if (seen === "stood still") {
      await this.renew();
      return true;
    }
    this.#parts.log.warn("the clock was set; the leases of all builds that are being built begin anew");
    await this.#parts.database.query(
      `update croft.sessions set expires_at = now() + lease_seconds * interval '1 second' where state = 'active'`,
    );
    return true;
  }

  async #expireOne(sql: Sql, id: number, token: string): Promise<boolean> {
    const [build] = await sql.query<Build>("select * from croft.builds where id = $1 for update", [id]);
    const [session] = await sql.query<Session>(
      `update croft.sessions set state = 'expired', ended_at = now()
       where token = $1 and state = 'active' and expires_at <= now() returning *`,
      [token],
    );
    if (!build || !session) return false;
    await this.#parts.faults.add(sql, build, session, "no result before its lease ended");
    return true;
  }
}
