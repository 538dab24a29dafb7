/**
 * How long builds will take and wait, by what builds took that succeeded: of the same package for the same target, the median
 * of the last few. Of a package that has none, that of the target counts where it waits for others; for itself there is no
 * estimate.
 *
 * When a build begins is found by playing what stands before it through the agents that could build it, each as soon as it is
 * free. Other queues of the same agents are left out, so it is a beginning, and no promise.
 */
import type { Build } from "../builds/build.ts";
import { machineFor } from "../builds/offer.ts";
import type { WaitingQueue } from "../builds/queue.ts";
import type { Database } from "../database/database.ts";
import type { WaitingReasons } from "./waiting.ts";

/** In seconds; null where nothing is known to go by, or it is no question any more. */
export interface Estimate {
  /** How long it takes to build. */
  buildSeconds: number | null;
  /** When it is given to an agent, if it waits. */
  startSeconds: number | null;
  /** How long it still takes, if it is being built; 0 if it takes longer than usual. */
  remainingSeconds: number | null;
}

/** So many of a package's last builds for a target are looked at. */
const lookedAt = 15;
/** Who waits behind more waits long in any case. */
const mostBefore = 1000;

/** Median of the last successes of `asked.name`, for a target that is a parameter. */
const median = (target: string) => `(
  select percentile_cont(0.5) within group (order by extract(epoch from last.finished_at - last.started_at))
  from (select started_at, finished_at from croft.builds
    where name = asked.name and target = ${target} and state = 'finished' and status in ('success', 'warning')
    order by id desc limit ${lookedAt}) as last)`;

interface Running {
  agent: string;
  machine: string;
  toolchain: string;
  elapsed: number;
  usual: number | null;
}

export class Estimates {
  readonly #database: Database;
  readonly #waiting: Pick<WaitingReasons, "idleFor">;

  constructor(database: Database, waiting: Pick<WaitingReasons, "idleFor">) {
    this.#database = database;
    this.#waiting = waiting;
  }

  /** Undefined for a build that has ended. */
  async of(build: Build): Promise<Estimate | undefined> {
    if (build.state !== "queued" && build.state !== "building") return undefined;
    const buildSeconds = await this.#usual(build);
    const elapsed = build.started_at === null ? 0 : (Date.now() - build.started_at.getTime()) / 1000;
    const isRunning = build.state === "building";
    return {
      buildSeconds,
      startSeconds: isRunning ? null : await this.#start(build),
      remainingSeconds: isRunning && buildSeconds !== null ? Math.max(0, buildSeconds - elapsed) : null,
    };
  }

  async #usual({ name, target }: Pick<Build, "name" | "target">): Promise<number | null> {
    const [row] = await this.#database.query<{ seconds: number | null }>(
      `select ${median("$2")}::double precision as seconds from (values ($1::text)) as asked (name)`,
      [name, target],
    );
    return row!.seconds;
  }

  async #start(build: Build): Promise<number | null> {
    const [queue] = await this.#database.query<WaitingQueue & { paused: boolean }>(
      "select * from croft.queues where name = $1",
      [build.queue],
    );
    if (!queue || queue.paused) return null;
    const before = await this.#before(build);
    const running = await this.#running(queue, build);
    const idle = await this.#waiting.idleFor(queue, build);
    const known = [...before, ...running].some(({ usual }) => usual === null);
    const fallback = known ? await this.#usualOfTarget(build.target) : null;
    const free = [
      ...Array.from({ length: idle }, () => 0),
      ...running.map(({ usual, elapsed }) => Math.max(0, (usual ?? fallback ?? NaN) - elapsed)),
    ].slice(0, queue.running_limit ?? Infinity);
    const durations = before.flatMap(({ usual, count }) =>
      Array.from({ length: count }, () => usual ?? fallback ?? NaN),
    );
    if (free.length === 0 || [...free, ...durations].some(Number.isNaN)) return null;
    return freeAfter(free, durations);
  }

  /** What goes before a build, by package. */
  async #before(build: Build): Promise<{ count: number; usual: number | null }[]> {
    return await this.#database.query(
      `select asked.count::integer as count, ${median("$4")}::double precision as usual from (
         select first.name, count(*) as count from croft.builds own, (
           select name, queue_priority, rank, id from croft.builds where queue = $2 and state = 'queued'
           order by queue_priority desc, rank, id limit $3) as first
         where own.id = $1
           and (-first.queue_priority, first.rank, first.id) < (-own.queue_priority, own.rank, own.id)
         group by first.name) as asked`,
      [build.id, build.queue, mostBefore, build.target],
    );
  }

  /** What is being built by agents that could build it. */
  async #running(queue: WaitingQueue, { refused_by }: Build): Promise<Running[]> {
    const running = await this.#database.query<Running>(
      `select s.agent, s.machine, s.toolchain, ${median("asked.target")}::double precision as usual,
         extract(epoch from now() - s.created_at)::double precision as elapsed
       from croft.sessions s join croft.builds asked on asked.id = s.build where s.state = 'active'`,
    );
    return running.filter(
      ({ agent, machine, toolchain }) =>
        !refused_by.includes(agent) &&
        machineFor(
          { ...queue, auxiliary: null },
          { toolchain, machines: [machine], interactive: "both", mayHavePrivate: true },
        ) !== undefined,
    );
  }

  async #usualOfTarget(target: string): Promise<number | null> {
    const [row] = await this.#database.query<{ seconds: number | null }>(
      `select percentile_cont(0.5) within group (order by extract(epoch from finished_at - started_at))::double precision
         as seconds from (select * from croft.builds where target = $1 and state = 'finished' order by id desc limit 50)
         as last where status in ('success', 'warning')`,
      [target],
    );
    return row!.seconds;
  }
}

/** When the next of some agents is free, after each of some builds has gone to the one that is free first. */
function freeAfter(agents: readonly number[], durations: readonly number[]): number {
  const free = [...agents];
  const first = () => free.indexOf(Math.min(...free));
  for (const seconds of durations) free[first()]! += seconds;
  return free[first()]!;
}
