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
/** Many look at builds of the same packages, which do not take another time each minute. */
const believedMs = 60_000;
const mostRemembered = 10_000;

interface Kind {
  name: string;
  target: string;
}

interface Running extends Kind {
  agent: string;
  machine: string;
  toolchain: string;
  elapsed: number;
}

export class Estimates {
  readonly #database: Database;
  readonly #waiting: Pick<WaitingReasons, "idleFor">;
  readonly #now: () => number;
  readonly #known = new Map<string, { seconds: number | null; atMs: number }>();

  /** @param now a clock that is never set, in milliseconds */
  constructor(
    database: Database,
    waiting: Pick<WaitingReasons, "idleFor">,
    now: () => number = () => performance.now(),
  ) {
    this.#database = database;
    this.#waiting = waiting;
    this.#now = now;
  }

  /** Undefined for a build that has ended. */
  async of(build: Build): Promise<Estimate | undefined> {
    if (build.state !== "queued" && build.state !== "building") return undefined;
    const [buildSeconds = null] = await this.#usual([build]);
    const elapsed = build.started_at === null ? 0 : (Date.now() - build.started_at.getTime()) / 1000;
    const isRunning = build.state === "building";
    return {
      buildSeconds,
      startSeconds: isRunning ? null : await this.#start(build),
      remainingSeconds: isRunning && buildSeconds !== null ? Math.max(0, buildSeconds - elapsed) : null,
    };
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
    const usual = await this.#usual([...running, ...before]);
    const fallback = usual.includes(null) ? await this.#usualOfTarget(build.target) : null;
    if (usual.includes(null) && fallback === null) return null;
    const seconds = usual.map((one) => one ?? fallback ?? 0);
    const free = [
      ...Array.from({ length: idle }, () => 0),
      ...running.map(({ elapsed }, at) => Math.max(0, seconds[at]! - elapsed)),
    ].slice(0, queue.running_limit ?? Infinity);
    if (free.length === 0) return null;
    const durations = before.flatMap(({ count }, at) =>
      Array.from({ length: count }, () => seconds[running.length + at]!),
    );
    return freeAfter(free, durations);
  }

  /** How long each usually takes: the median of its last successes. */
  async #usual(kinds: readonly Kind[]): Promise<(number | null)[]> {
    const keyOf = ({ name, target }: Kind) => `${target} ${name}`;
    const atMs = this.#now();
    if (this.#known.size > mostRemembered) this.#known.clear();
    const isNew = (kind: Kind) => atMs - (this.#known.get(keyOf(kind))?.atMs ?? -Infinity) > believedMs;
    const asked = [...new Map(kinds.filter(isNew).map((kind) => [keyOf(kind), kind])).values()];
    if (asked.length > 0)
      for (const { seconds, ...kind } of await this.#database.query<Kind & { seconds: number | null }>(
        `select asked.name, asked.target, (
           select percentile_cont(0.5) within group (order by extract(epoch from last.finished_at - last.started_at))
           from (select started_at, finished_at from croft.builds where name = asked.name and target = asked.target
             and state = 'finished' and status in ('success', 'warning') order by id desc limit ${lookedAt}) as last
         )::double precision as seconds from unnest($1::text[], $2::text[]) as asked (name, target)`,
        [asked.map(({ name }) => name), asked.map(({ target }) => target)],
      ))
        this.#known.set(keyOf(kind), { seconds, atMs });
    return kinds.map((kind) => this.#known.get(keyOf(kind))?.seconds ?? null);
  }

  /** What goes before a build, by package. */
  async #before({ id, queue, target }: Build): Promise<(Kind & { count: number })[]> {
    const packages = await this.#database.query<{ name: string; count: number }>(
      `select first.name, count(*)::integer as count from croft.builds own, (
         select name, queue_priority, rank, id from croft.builds where queue = $2 and state = 'queued'
         order by queue_priority desc, rank, id limit $3) as first
       where own.id = $1
         and (-first.queue_priority, first.rank, first.id) < (-own.queue_priority, own.rank, own.id)
       group by first.name`,
      [id, queue, mostBefore],
    );
    return packages.map((one) => ({ ...one, target }));
  }

  /** What is being built by agents that could build it. */
  async #running(queue: WaitingQueue, { refused_by }: Build): Promise<Running[]> {
    const running = await this.#database.query<Running>(
      `select b.name, b.target, s.agent, s.machine, s.toolchain,
         extract(epoch from now() - s.created_at)::double precision as elapsed
       from croft.sessions s join croft.builds b on b.id = s.build where s.state = 'active'`,
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
