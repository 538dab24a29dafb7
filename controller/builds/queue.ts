/**
 * The queue of builds: the rows of `croft.builds` in state `queued`. There is one queue for each combination of target,
 * machine pattern, toolchain pattern, mode and patterns of auxiliary machines, so that what an agent can take is found by looking at the first build of
 * each, however many wait behind it.
 *
 * Order. Across queues the highest priority comes first, then the queue whose last turn is longest ago. In a queue the
 * order is `queue_priority desc, rank, id`, as in the index `builds_queued`. Ranks let submitters take turns (start-time
 * fair queueing): a new build has the rank max(last rank given out, submitter's last rank) + 1, both of its queue and
 * priority. So one submitter's builds have growing ranks, and another's first build stands beside the head. A build that
 * is queued again has the rank 0: it was at the head once, and its submitter's turn was taken. But one that hosts have
 * failed more than once gets a rank behind all of its priority: should it be its own fault after all, others go first.
 *
 * Agents of other makes pass over the builds that they cannot read (`croft_only`); those stay where they are.
 *
 * A limit is that of a target, and stands beside each of its queues: where there is one, a claim locks all queues of the
 * target, in the order of their names, and adds up what they have running. Without a limit it looks at one queue only.
 *
 * Invariants: whoever changes a build's state holds its row, and takes the queue's row after it; that has the numbers of
 * its builds in each state (`running`: in state `building`), so that nobody counts the builds themselves.
 */
import { createHash } from "node:crypto";
import type { Database, Sql } from "../database/database.ts";
import type { AuxiliaryPatterns } from "./auxiliary.ts";
import type { Build, BuildState } from "./build.ts";
import { NotedChanges } from "./noting/noted-changes.ts";
import type { Specification } from "./specification.ts";
import { croftOnlyReason } from "./tasks.ts";

/** What all builds of one queue have in common. */
export interface QueueKey {
  target: string;
  /** Patterns of the names of the machine and the toolchain. */
  machine: string;
  toolchain: string;
  interactive: boolean;
  /** Patterns of the names of auxiliary machines; absent or null: it needs none. */
  auxiliary?: AuxiliaryPatterns | null;
  /** Only for agents that have proved who they are. */
  private?: boolean;
  /** Only for agents that give builds their variables: those of earlier versions leave them out without a word. */
  variables?: boolean;
  /** Only for agents that get working trees from the controller. */
  trees?: boolean;
}

/** A queue in which a build waits that may be given out. */
export interface WaitingQueue extends QueueKey {
  name: string;
  /** How many builds of its target, of all its queues, may run at once; none: any number. */
  running_limit?: number | null;
}

/** What a build may have, and who may read of it. */
export interface Clearance {
  isTrusted: boolean;
  isPrivate: boolean;
  /** Whether its machines are given secrets: only agents that have proved who they are have it. */
  hasSecrets: boolean;
}

const noClearance: Clearance = { isTrusted: false, isPrivate: false, hasSecrets: false };

/** Builds that were interrupted go before all others; priorities of submissions are far below. */
const headPriority = 1_000_000;

/** After so many faults of hosts a build is queued behind its like. */
const faultsAtHead = 1;

/**
 * Why a build is queued again. A fault is the host's: it lost the build, or could not do it; a refusal is no fault: it has not
 * what the build asks for.
 */
export type Setback = { kind: "abort" | "interrupt" } | { kind: "fault" | "refusal"; host: string };

/** So long after a build was queued again it is offered once more to who refused it: the host may be another by then. */
const refusalHolds = "interval '1 hour'";

/** Who takes a build. */
export interface Taker {
  host: string;
  /** Whether it is of another make than croft. */
  isForeign?: boolean;
  /** Whether another host could take a build of the queue now. */
  hasAlternative: (build: Build) => boolean;
}

/** The queues of a controller. */
export class BuildQueue {
  readonly #database: Database;
  readonly #limits: ReadonlyMap<string, number>;
  readonly #noted: Pick<NotedChanges, "note">;
  readonly #known = new Set<string>();

  /**
   * @param limits how many builds of a target may run at once, where that is limited
   * @param noted told of each build that comes into another state
   */
  constructor(
    database: Database,
    limits: ReadonlyMap<string, number> = new Map(),
    noted: Pick<NotedChanges, "note"> = new NotedChanges(new Set()),
  ) {
    this.#database = database;
    this.#limits = limits;
    this.#noted = noted;
  }

  /** Has the limits hold for queues that are there already; to be called when the controller starts. */
  async applyLimits(): Promise<void> {
    const limits = JSON.stringify([...this.#limits].map(([target, most]) => ({ target, most })));
    await this.#database.query(
      `update croft.queues set running_limit = wanted.most
       from (select q.name, l.most from croft.queues q left join jsonb_to_recordset($1::jsonb)
         as l (target text, most integer) on l.target = q.target order by q.name) as wanted
       where queues.name = wanted.name and queues.running_limit is distinct from wanted.most`,
      [limits],
    );
  }

  /** Makes sure that a queue exists. */
  async ensure(key: QueueKey): Promise<string> {
    const name = nameOf(key);
    if (this.#known.has(name)) return name;
    await this.#database.query(
      `insert into croft.queues
         (name, target, machine, toolchain, interactive, running_limit, auxiliary, private, variables, trees, paused)
       select $1, $2, $3, $4, $5, $6, $7::jsonb, $8, $9, $10, exists (select from croft.pauses where ${coversTarget("$2")})
       on conflict do nothing`,
      [
        ...[name, key.target, key.machine, key.toolchain, key.interactive],
        this.#limits.get(key.target) ?? null,
        key.auxiliary ? JSON.stringify(key.auxiliary) : null,
        key.private ?? false,
        key.variables ?? false,
        key.trees ?? false,
      ],
    );
    this.#known.add(name);
    return name;
  }

  /** Queues a new build. */
  async add(
    sql: Sql,
    queue: string,
    what: Specification,
    submitter: string | null,
    rebuildOf: number | null,
    { isTrusted, isPrivate }: Clearance = noClearance,
  ): Promise<Build> {
    const [build] = await sql.query<Build>(
      `with counted as (update croft.queues set queued = queued + 1 where name = $6), turn as (
         insert into croft.turns (queue, priority, submitter, rank) values ($6, $7, coalesce($8::text, ''),
           coalesce((select rank from croft.served where queue = $6 and priority = $7), 0) + 1)
         on conflict (queue, priority, submitter) do update set rank = greatest(excluded.rank, turns.rank + 1)
         returning rank)
       insert into croft.builds (name, version, target, repository, specification, queue, priority, queue_priority,
         state, submitted_by, rebuild_of, croft_only, is_trusted, is_private, tree, rank)
       values ($1, $2, $3, $4, $5, $6, $7, $7, 'queued', $8, $9, $10, $11, $12, $13, (select rank from turn)) returning *`,
      [
        what.name,
        what.version,
        what.target,
        what.repository,
        JSON.stringify(what),
        queue,
        what.priority,
        submitter,
        rebuildOf,
        croftOnlyReason(what) !== undefined,
        isTrusted,
        isPrivate,
        what.tree ?? null,
      ],
    );
    await this.#noted.note(sql, build!.id, "queued");
    return build!;
  }

  /**
   * The queues that may give out a build, in the order of their turns. Reads without locks: see {@link take}.
   *
   * @param isForeign to an agent of another make.
   */
  async waiting(isForeign = false): Promise<WaitingQueue[]> {
    return await this.#database.query<WaitingQueue>(
      `select q.name, q.target, q.machine, q.toolchain, q.interactive, q.auxiliary, q.private, q.variables, q.trees,
         q.running_limit
       from croft.queues q cross join lateral (
         select queue_priority, id from croft.builds where queue = q.name and ${queued(isForeign)}
         order by queue_priority desc, rank, id limit 1
       ) as first
       where not q.paused and (q.running_limit is null or ${runningOf("q.target")} < q.running_limit)
       order by first.queue_priority desc, q.last_turn nulls first, first.id`,
    );
  }

  /** How many builds of a queue may be given out now; not more are counted than asked for. */
  async openPlaces(queue: string, most: number): Promise<number> {
    const [row] = await this.#database.query<{ places: number }>(
      `select least(
         (select count(*) from (select 1 from croft.builds where queue = $1 and state = 'queued' limit $2::integer) as counted),
         case when running_limit is null then $2::integer
           else running_limit - ${runningOf("queues.target")} end)::integer as places
       from croft.queues where name = $1 and not paused`,
      [queue, most],
    );
    return Math.max(0, row?.places ?? 0);
  }

  /**
   * Takes the first build of a queue that nobody else is taking; it is `building` from then on. One that its taker has
   * failed last is left to others, as long as there are any; one that its taker refused, also if there are none.
   *
   * @returns undefined if none is left, or the queue was paused or its target reached its limit meanwhile.
   */
  async take(
    sql: Sql,
    { name: queue, target, running_limit = null }: Pick<WaitingQueue, "name" | "target" | "running_limit">,
    taker: Taker,
  ): Promise<Build | undefined> {
    let first = await this.#first(sql, queue, taker);
    if (first?.faulty_host === taker.host || first?.refused_by.includes(taker.host))
      first = await this.#first(sql, queue, taker, { hasAlternative: taker.hasAlternative(first) });
    if (!first) return undefined;
    if (running_limit !== null && !(await hasRoom(sql, target))) return undefined;
    const [open] = await sql.query(
      `update croft.queues set running = running + 1, queued = queued - 1, last_turn = clock_timestamp()
       where name = $1 and not paused returning name`,
      [queue],
    );
    if (!open) return undefined;
    if (first.rank > 0)
      await sql.query(
        `insert into croft.served (queue, priority, rank) values ($1, $2, $3)
         on conflict (queue, priority) do update set rank = greatest(served.rank, excluded.rank)`,
        [queue, first.priority, first.rank],
      );
    const [taken] = await sql.query<Build>(
      `update croft.builds set state = 'building', attempts = attempts + 1, started_at = now(), finished_at = null
       where id = $1 returning *`,
      [first.id],
    );
    await this.#noted.note(sql, first.id, "building");
    return taken;
  }

  /** @param others there are: passes over what the taker has failed last, or has refused. */
  async #first(
    sql: Sql,
    queue: string,
    { host, isForeign = false }: Taker,
    others?: { hasAlternative: boolean },
  ) {
    const [first] = await sql.query<Ranked>(
      `select * from croft.builds where queue = $1 and ${queued(isForeign)}
         and ($2::text is null or ((not $3 or faulty_host is distinct from $2)
           and (not $2 = any(refused_by) or (not $3 and queued_at <= now() - ${refusalHolds}))))
       order by queue_priority desc, rank, id limit 1 for update skip locked`,
      [queue, others ? host : null, others?.hasAlternative ?? false],
    );
    return first;
  }

  /**
   * Queues a build again and counts why: before those of the same priority that wait for their first turn; interrupted,
   * before all; failed by hosts again and again, behind its like; refused, where it was.
   */
  async putBack(sql: Sql, build: Build, setback: Setback): Promise<void> {
    await this.move(sql, build, "queued");
    const { aborts, faults, interrupts } = counted(build, setback);
    const { queue_priority, rank } = await placeAfter(sql, build, setback, faults);
    const { faulty_host, refused_by } = hostsAfter(build, setback);
    await sql.query(
      `update croft.builds set state = 'queued', queue_priority = $2, rank = $3, aborts = $4, faults = $5,
         interrupts = $6, faulty_host = $7, refused_by = $8::text[], queued_at = now() where id = $1`,
      [build.id, queue_priority, rank, aborts, faults, interrupts, faulty_host, refused_by],
    );
  }

  /**
   * Takes a build out of the queue for a session that had it before, and whose host has been found to have it still: that it
   * failed the build is taken back. Neither a limit nor a pause of the queue keeps what is being built from that.
   */
  async takeBack(sql: Sql, build: Build, session: number): Promise<void> {
    await this.move(sql, build, "building");
    await sql.query(
      `update croft.builds set state = 'building', session = $2, faults = greatest(0, faults - 1), faulty_host = null
       where id = $1`,
      [build.id, session],
    );
  }

  /** Counts a build by another state; a place that it had is then another one's. Its row is changed by the caller. */
  async move(sql: Sql, { id, queue, state }: Build, to: BuildState): Promise<void> {
    if (state === to) return;
    await this.#noted.note(sql, id, to);
    await sql.query(
      `update croft.queues set ${countOf[state]} = ${countOf[state]} - 1, ${countOf[to]} = ${countOf[to]} + 1
       where name = $1`,
      [queue],
    );
  }

  /** How many builds there are in each state; those that are private have queues of their own. */
  async count(withPrivate = true): Promise<Record<BuildState, number>> {
    const [counts] = await this.#database.query<Record<BuildState, number>>(
      `select ${Object.entries(countOf)
        .map(([state, column]) => `coalesce(sum(${column}), 0)::integer as ${state}`)
        .join(", ")} from croft.queues where $1 or not private`,
      [withPrivate],
    );
    return counts!;
  }
}

/** How many builds of a target run, of all its queues, or of those that a condition is for; a few at most. */
export function runningOf(target: string, condition = "true"): string {
  return `(select coalesce(sum(running), 0) from croft.queues as alike where alike.target = ${target} and (${condition}))`;
}

/** Locks the queues of a target, so that nobody else takes a build of them until the transaction has ended. */
async function hasRoom(sql: Sql, target: string): Promise<boolean> {
  const queues = await sql.query<{ running: number; running_limit: number | null }>(
    "select running, running_limit from croft.queues where target = $1 order by name for update",
    [target],
  );
  const running = queues.reduce((sum, queue) => sum + queue.running, 0);
  return queues.every(({ running_limit }) => running_limit === null || running < running_limit);
}

/** The columns of queues that count builds by their state. */
const countOf: Record<BuildState, string> = {
  queued: "queued",
  building: "running",
  finished: "finished",
  cancelled: "cancelled",
};

type Ranked = Build & { rank: number };

/** The counters of a build after another setback. */
export function counted(
  { aborts, faults, interrupts }: Pick<Build, "aborts" | "faults" | "interrupts">,
  { kind }: Setback,
): Pick<Build, "aborts" | "faults" | "interrupts"> {
  return {
    aborts: aborts + Number(kind === "abort"),
    faults: faults + Number(kind === "fault"),
    interrupts: interrupts + Number(kind === "interrupt"),
  };
}

async function placeAfter(
  sql: Sql,
  build: Build,
  { kind }: Setback,
  faults: number,
): Promise<{ queue_priority: number; rank: number }> {
  if (kind === "interrupt") return { queue_priority: headPriority, rank: 0 };
  if (kind === "refusal") return { queue_priority: build.queue_priority, rank: 0 };
  const rank = kind === "fault" && faults > faultsAtHead ? (await lastRank(sql, build)) + 1 : 0;
  return { queue_priority: build.priority, rank };
}

function hostsAfter(build: Build, setback: Setback): Pick<Build, "faulty_host" | "refused_by"> {
  const { faulty_host, refused_by } = build;
  if (setback.kind === "fault") return { faulty_host: setback.host, refused_by };
  if (setback.kind !== "refusal") return { faulty_host: null, refused_by };
  return { faulty_host, refused_by: [...new Set([...refused_by, setback.host])] };
}

/** Of those that wait in the build's queue with its priority. */
async function lastRank(sql: Sql, { queue, priority }: Build): Promise<number> {
  const [last] = await sql.query<{ rank: number }>(
    `select rank from croft.builds where queue = $1 and state = 'queued' and queue_priority = $2
     order by rank desc limit 1`,
    [queue, priority],
  );
  return last?.rank ?? -1;
}

/** The condition of a pause (fleet/pauses.ts) that covers a target. */
export function coversTarget(target: string): string {
  return `kind = 'all' or (kind = 'target' and name = ${target})`;
}

/** The conditions of the indexes `builds_queued` and `builds_queued_for_all`. */
function queued(isForeign: boolean): string {
  return isForeign ? "state = 'queued' and not croft_only" : "state = 'queued'";
}

/** Patterns go into the name as a hash. */
function nameOf(key: QueueKey): string {
  const { target, machine, toolchain, interactive, auxiliary } = key;
  const kind = [
    ...(key.private === true ? ["private"] : []),
    ...(key.variables === true ? ["variables"] : []),
    ...(key.trees === true ? ["trees"] : []),
  ];
  const more = Object.entries(auxiliary ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
  const rest = JSON.stringify([target, machine, toolchain, interactive, ...kind, ...more]);
  const hash = createHash("sha256").update(rest).digest("hex").slice(0, 16);
  return `${key.target.replace(/[^A-Za-z0-9_.-]/g, "_")}-${hash}`;
}
