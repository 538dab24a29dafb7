/**
 * Sessions: one agent's attempt at one build, from the task it was given to the result it sends.
 *
 * ```
 *            lease over            the build has ended, by another session
 *   active <-----------> expired --+-------------------------> superseded
 *     |     its agent is    |      |
 *     |     back in time    |      |
 *     |                     |      |
 *     +------ result -------+------|--> finished        (cancelled: the build was)
 *     +----------------------------+
 * ```
 *
 * A session whose agent's key was revoked is `superseded`, too. A lease that ends (leases/leases.ts) is a fault of the host
 * (faults.ts), and its build is offered again, but nothing is lost: as long as nobody else was given it, its agent may come back and go on with it, and the first complete result of a
 * build counts, from whichever of its sessions it comes. What tells nothing of the package (`abort`, `interrupt`) counts only
 * from the session that has the build.
 *
 * Invariants: a build has at most one session in `active`, and is `building` then; a result is stored, the build's state
 * changed in one transaction, so that an answer means all of it is on disk; whoever changes a build or its sessions holds
 * the build's row.
 */
import { randomBytes } from "node:crypto";
import { auxiliariesFor } from "./auxiliary.ts";
import type { Build } from "./build.ts";
import type { Changes } from "./noting/changes.ts";
import type { Database, Sql } from "../database/database.ts";
import type { Session } from "./session.ts";
import { machineFor, type Offer } from "./offer.ts";
import type { BuildQueue, QueueKey, WaitingQueue } from "./queue.ts";

/** A build that was given to an agent. */
export interface Assignment {
  build: Build;
  session: Session;
}

/** What sessions need of a controller. */
interface SessionParts {
  readonly database: Database;
  readonly queue: Pick<BuildQueue, "waiting" | "take">;
  readonly changes: Changes;
  /** Whether another host than some offers what a queue needs. */
  readonly isOfferedElsewhere: (queue: QueueKey, than: readonly string[], croftOnly: boolean) => boolean;
}

export interface SessionSettings {
  leaseMarginSeconds: number;
  /** Of an interactive build; of others their target says it. */
  interactiveTimeoutSeconds: number;
  /** Whether agents are known by keys. */
  withChallenge: () => boolean;
}

/** With what an agent would build, beside the names in its offer. */
export interface BuiltWith {
  /** Revisions of machines by their names. */
  machineIds: ReadonlyMap<string, string>;
  toolchainVersion: string;
}

/** Gives builds to agents and takes them back when their lease is over. */
export class Sessions {
  readonly #parts: SessionParts;
  readonly #settings: SessionSettings;

  constructor(parts: SessionParts, settings: SessionSettings) {
    this.#parts = parts;
    this.#settings = settings;
  }

  async find(token: string): Promise<Session | undefined> {
    if (!isToken(token)) return undefined;
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

  /** Those of several that are known. */
  async byToken(tokens: readonly string[]): Promise<Map<string, Session>> {
    const rows = await this.#parts.database.query<Session>(
      "select * from croft.sessions where token = any($1::text[])",
      [tokens.filter(isToken)],
    );
    return new Map(rows.map((session) => [session.token, session]));
  }

  /**
   * The queued build of highest priority that the agent can take, in the order that {@link BuildQueue} explains.
   *
   * @param signsSeconds how long the lease lasts without a sign of life; absent: the agent gives none
   */
  async assign(offer: Offer, signsSeconds?: number, builtWith?: BuiltWith): Promise<Assignment | undefined> {
    for (const queue of await this.#parts.queue.waiting(offer.isForeign)) {
      const machine = machineFor(queue, offer);
      if (machine === undefined) continue;
      const assignment = await this.#parts.database.transaction((sql) =>
        this.#take(sql, queue, machine, { offer, signsSeconds, builtWith }),
      );
      if (!assignment) continue;
      this.#parts.changes.announce("state", assignment.build.id);
      return assignment;
    }
    return undefined;
  }

  async #take(
    sql: Sql,
    queue: WaitingQueue,
    machine: string,
    asking: Asking,
  ): Promise<Assignment | undefined> {
    const { offer } = asking;
    const { queue: builds, isOfferedElsewhere } = this.#parts;
    const hasAlternative = ({ refused_by, croft_only }: Build) =>
      isOfferedElsewhere(queue, [offer.agent, ...refused_by], croft_only);
    const { agent: host, isForeign = false } = offer;
    const build = await builds.take(sql, queue, { host, isForeign, hasAlternative });
    if (!build) return undefined;
    const session = await this.#open(sql, build, machine, asking);
    await sql.query("update croft.builds set session = $2 where id = $1", [build.id, session.id]);
    return { build: { ...build, session: session.id }, session };
  }

  /** How long an agent may take for a build. */
  timeoutSeconds({ specification }: Build): number {
    const { interactive, timeoutSeconds } = specification;
    return interactive === undefined ? timeoutSeconds : this.#settings.interactiveTimeoutSeconds;
  }

  async #open(
    sql: Sql,
    build: Build,
    machine: string,
    { offer, signsSeconds, builtWith }: Asking,
  ): Promise<Session> {
    const { auxiliary } = build.specification;
    const lease = this.timeoutSeconds(build) + this.#settings.leaseMarginSeconds;
    const [session] = await sql.query<Session>(
      `insert into croft.sessions (token, build, attempt, agent, toolchain, machine, fingerprint, challenge, state,
         lease_seconds, expires_at, signs_until, auxiliary, machine_id, toolchain_version)
       values ($1, $2, $3, $4, $5, $6, $7, $8, 'active', $9, now() + $9::integer * interval '1 second',
         now() + $10::integer * interval '1 second', $11::jsonb, $12, $13) returning *`,
      [
        randomBytes(24).toString("base64url"),
        build.id,
        build.attempts,
        offer.agent,
        offer.toolchain,
        machine,
        offer.fingerprint ?? null,
        this.#settings.withChallenge() ? randomBytes(32).toString("hex") : null,
        lease,
        signsSeconds ?? null,
        auxiliary === undefined ? null : JSON.stringify(auxiliariesFor(auxiliary, offer)),
        builtWith?.machineIds.get(machine) ?? null,
        builtWith?.toolchainVersion ?? null,
      ],
    );
    return session!;
  }
}

/** Who asks for a build. */
interface Asking {
  offer: Offer;
  signsSeconds: number | undefined;
  builtWith: BuiltWith | undefined;
}

/** The database would refuse some other text. */
function isToken(text: string): boolean {
  return /^[A-Za-z0-9_-]{1,64}$/.test(text);
}
