/**
 * Leases of sessions: how long a controller waits for the result of a build before it offers that build again.
 *
 * A lease is over when one of two times is: `expires_at`, the build's timeout and a margin; and `signs_until`, a minute
 * after the last sign of life, of agents that give signs. Once an agent has its result, it is waited for: for an hour after
 * it said that the result is on its way.
 *
 * Silence counts only as long as the controllers were there to hear. Each writes down every few seconds that it is
 * (`croft.controllers`, by the database's clock), and
 *
 * * after a gap in its own signs (its start, a process or database that stood still, a clock that was set), it first gives
 *   all leases a full minute, and says in the same transaction that it is there again;
 * * no silence ends a lease while a controller is away; one that does not come back for three minutes is gone;
 * * whether all of them are there is looked at by the very statement that ends a lease: whoever is stopped before it has
 *   not been there when it is done.
 *
 * An agent that comes back in time goes on with its build, which waits in the queue only as long as nobody else was given it
 * (`#takeBack`): whoever has the build's row first, this or a claim, has the build.
 *
 * A session whose agent's key was revoked is over for good, and that is nobody's fault.
 *
 * Where more than a third of the agents fall silent at once, the network is suspected (suspicion.ts).
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { AgentKeys } from "../authentication/agent-keys.ts";
import type { Build } from "../builds/build.ts";
import type { Changes } from "../builds/noting/changes.ts";
import { tellReason, type Faults } from "../builds/faults.ts";
import type { BuildQueue } from "../builds/queue.ts";
import type { Session } from "../builds/session.ts";
import type { Database, Sql } from "../database/database.ts";
import { knownTables } from "../database/migrations.ts";
import type { SessionPhase, SessionSign } from "../../manifests/own/signs.ts";
import type { Log } from "../../os/log.ts";
import { LeaseClock } from "./clock.ts";
import { NetworkSuspicion } from "./suspicion.ts";
import { leaseSeconds, lostSessions, writeSigns, type LostSession } from "./signs.ts";

/** Signs are written down together. */
const collectMs = 50;
/** A sign that comes late by more than an agent's time between two was missed. */
const missedSeconds = 30;
/** A controller that has not said for so long that it is there is away; and for so long, gone. */
const awaySeconds = 15;
const goneSeconds = 180;

interface LeaseParts {
  readonly database: Database;
  readonly faults: Pick<Faults, "add">;
  readonly queue: Pick<BuildQueue, "takeBack" | "putBack">;
  readonly agentKeys: Pick<AgentKeys, "isRevokedFor">;
  readonly changes: Pick<Changes, "announce">;
  readonly log: Log;
}

export interface LeaseSettings {
  /** Names this controller among those on its database, also after it was started anew. */
  controllerName: string;
  leaseMarginSeconds: number;
  /** A clock that is never set, in milliseconds. */
  now?: () => number;
}

interface View {
  now: Date;
  signing: number;
  late: number;
  over: number;
  next_ms: number | null;
}

/** Extends leases, and ends them. */
export class Leases {
  readonly #parts: LeaseParts;
  readonly #settings: LeaseSettings;
  readonly #now: () => number;
  readonly #clock: LeaseClock;
  readonly #suspicion: NetworkSuspicion;
  /** When a session's lease was last written, in milliseconds; chunks come far more often than it must be. */
  readonly #extended = new Map<number, number>();
  /** Signs that are to be written down. */
  readonly #signs = new Map<string, SessionPhase>();
  #writing: Promise<void> | undefined;

  constructor(parts: LeaseParts, settings: LeaseSettings) {
    this.#parts = parts;
    this.#settings = settings;
    this.#now = settings.now ?? (() => performance.now());
    this.#clock = new LeaseClock(this.#now);
    this.#suspicion = new NetworkSuspicion(this.#now);
  }

  /** Signs of life that an agent gives as such. */
  async sign(signs: readonly SessionSign[]): Promise<void> {
    for (const { session, phase } of signs) this.#signs.set(session, phase);
    await (this.#writing ??= this.#writeSigns());
  }

  async #writeSigns(): Promise<void> {
    await sleep(collectMs);
    this.#writing = undefined;
    const signs = [...this.#signs].map(([session, phase]) => ({ session, phase }));
    this.#signs.clear();
    const { database, log } = this.#parts;
    await writeSigns(database, signs, this.#settings.leaseMarginSeconds);
    for (const one of await lostSessions(database, signs))
      if (await this.#takeBack(one)) {
        const { build, agent } = one.session;
        log.info({ build, agent }, "an agent that was not heard of is back; the build stays with it");
        this.#parts.changes.announce("state", build);
      }
  }

  /** @returns false if somebody else has the build by now, or it has ended. */
  async #takeBack({ session: { id, build: buildId, token }, phase }: LostSession): Promise<boolean> {
    const { database, queue } = this.#parts;
    return await database.transaction(async (sql) => {
      const [build] = await sql.query<Build>(
        "select * from croft.builds where id = $1 and state = 'queued' for update",
        [buildId],
      );
      if (!build) return false;
      const [session] = await sql.query<Session>(
        `update croft.sessions set state = 'active', ended_at = null, fault = null, signs_until = now()
         where id = $1 and state = 'expired' returning *`,
        [id],
      );
      if (!session) return false;
      await queue.takeBack(sql, build, id);
      await writeSigns(sql, [{ session: token, phase }], this.#settings.leaseMarginSeconds);
      return true;
    });
  }

  /** A sign of life of another kind, a piece of a log for instance: the lease lasts at least the margin from now on. */
  async extend({ id }: Pick<Session, "id">): Promise<void> {
    const now = this.#now();
    const every = Math.min(10_000, (this.#settings.leaseMarginSeconds * 1000) / 4);
    if (now - (this.#extended.get(id) ?? -Infinity) < every) return;
    if (this.#extended.size > 1000) this.#extended.clear();
    this.#extended.set(id, now);
    await this.#parts.database.query(
      `update croft.sessions set expires_at = greatest(expires_at, now() + $2::integer * interval '1 second'),
         signs_until = case when signs_until is not null
           then greatest(signs_until, now() + $3::integer * interval '1 second') end
       where id = $1 and state = 'active'`,
      [id, this.#settings.leaseMarginSeconds, leaseSeconds],
    );
  }

  /**
   * Says that this controller is there, and offers the builds again whose leases are over, or ends them if that has
   * happened too often. To be called every few seconds.
   *
   * @returns in how many milliseconds the next lease ends, or undefined if nothing is being built.
   */
  async look(): Promise<number | undefined> {
    await this.#beThere();
    const view = await this.#view();
    const suspicion = this.#suspicion.look(view);
    if (suspicion === "arises") {
      const { signing, late } = view;
      this.#parts.log.warn(
        { silent: late, building: signing },
        "many agents have fallen silent at once: the network is suspected, and no build is taken from them for 2 minutes",
      );
    }
    for (const { build, id } of await this.#over(suspicion === "none")) await this.#end(build, id);
    return view.next_ms ?? undefined;
  }

  async #beThere(): Promise<void> {
    const { database, log } = this.#parts;
    const [clock] = await database.query<{ now: Date }>("select clock_timestamp() as now");
    const seen = this.#clock.look(clock!.now);
    if (seen === "jumped")
      log.warn("the clock was set; the leases of all builds that are being built begin anew");
    await database.transaction(async (sql) => {
      if (seen === "jumped") await this.#beginAnew(sql);
      if (seen === "stood still") await this.#renew(sql);
      await sql.query(
        `insert into croft.controllers (name, seen_at, tables) values ($1, clock_timestamp(), $2)
         on conflict (name) do update set seen_at = excluded.seen_at, tables = excluded.tables`,
        [this.#settings.controllerName, knownTables],
      );
    });
  }

  /** While there was no controller, no agent could give a sign of life or its result. */
  async #renew(sql: Sql): Promise<void> {
    await sql.query(
      `update croft.sessions set expires_at = greatest(expires_at, now() + $1::integer * interval '1 second'),
         signs_until = greatest(signs_until, case when signs_until is not null
           then now() + $2::integer * interval '1 second' end)
       where state = 'active'`,
      [this.#settings.leaseMarginSeconds, leaseSeconds],
    );
  }

  async #beginAnew(sql: Sql): Promise<void> {
    await sql.query(
      `update croft.sessions set expires_at = now() + lease_seconds * interval '1 second',
         signs_until = case when signs_until is not null then now() + $1::integer * interval '1 second' end
       where state = 'active'`,
      [leaseSeconds],
    );
    // Those of the others are of another time, too; they write theirs again in some seconds.
    await sql.query("update croft.controllers set seen_at = now() where seen_at > now()");
  }

  async #view(): Promise<View> {
    const [view] = await this.#parts.database.query<View>(
      `select now() as now, count(signs_until)::integer as signing,
         (count(*) filter (where signs_until <= now() + $1::integer * interval '1 second'))::integer as late,
         (count(*) filter (where signs_until <= now()))::integer as over,
         (extract(epoch from min(least(expires_at, signs_until)) - now()) * 1000)::float8 as next_ms
       from croft.sessions where state = 'active'`,
      [leaseSeconds - missedSeconds],
    );
    return view!;
  }

  /** @param silenceCounts whether signs that did not come end leases */
  #over(silenceCounts: boolean): Promise<Session[]> {
    return this.#parts.database.query<Session>(
      `select * from croft.sessions s where state = 'active' and ${isOver}`,
      this.#isOverValues(silenceCounts),
    );
  }

  #isOverValues(silenceCounts: boolean): unknown[] {
    return [silenceCounts, this.#settings.controllerName, awaySeconds, goneSeconds];
  }

  async #end(buildId: number, id: number): Promise<void> {
    const { database, faults, agentKeys, changes } = this.#parts;
    const ended = await database.transaction(async (sql) => {
      const [build] = await sql.query<Build>("select * from croft.builds where id = $1 for update", [
        buildId,
      ]);
      const [session] = await sql.query<Session>(
        `update croft.sessions s set state = 'expired', ended_at = now()
         where state = 'active' and ${isOver} and id = $5 returning *`,
        [...this.#isOverValues(true), id],
      );
      if (!build || !session) return false;
      if (agentKeys.isRevokedFor(session)) {
        await this.#putBackRevoked(sql, build, session);
        return true;
      }
      const isSilent = session.expires_at.getTime() > session.ended_at!.getTime();
      const reason = isSilent ? "no sign of life for a minute" : "no result before its lease ended";
      await faults.add(sql, build, session, reason);
      return true;
    });
    if (ended) changes.announce("state", buildId);
  }

  /** The agent is told that nobody waits for it. */
  async #putBackRevoked(sql: Sql, build: Build, session: Session): Promise<void> {
    const { queue, log } = this.#parts;
    await sql.query("update croft.sessions set state = 'superseded' where id = $1", [session.id]);
    await tellReason(sql, session, "the key of its agent was revoked");
    await queue.putBack(sql, build, { kind: "interrupt" });
    log.info(
      { build: build.id, agent: session.agent },
      "the key of an agent was revoked; its build is queued again",
    );
  }
}

/** The condition of {@link Leases} for an active session. */
const isOver = `(expires_at <= now() or ($1 and signs_until <= now()
  and exists (select from croft.controllers where name = $2
    and seen_at > clock_timestamp() - $3::integer * interval '1 second')
  and not exists (select from croft.controllers
    where seen_at <= clock_timestamp() - $3::integer * interval '1 second'
      and seen_at > clock_timestamp() - $4::integer * interval '1 second')))`;
