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
import { alongIndex } from "../database/along-index.ts";
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
/** So many builds that wait are looked at, of all queues together; of those behind them nothing is told. */
const mostBefore = 1000;
/** Many look at builds of the same packages, which do not take another time each minute. */
const believedMs = 60_000;
const mostRemembered = 10_000;

interface Kind {
  name: string;
  target: string;
}

type QueueState = WaitingQueue & { running_limit: number | null };

interface Waiting {
  id: number;
  name: string;
}

interface Running extends Kind {
  agent: string;
  machine: string;
  toolchain: string;
  elapsed: number;
}

export class Estimates {
  readonly #database: Database;
  readonly #waiting: Pick<WaitingReasons, "idle">;
  readonly #now: () => number;
  readonly #known = new Map<string, { seconds: number | null; atMs: number }>();

  /** @param now a clock that is never set, in milliseconds */
  constructor(
    database: Database,
    waiting: Pick<WaitingReasons, "idle">,
    now: () => number = () => performance.now(),
  ) {
    this.#database = database;
    this.#waiting = waiting;
    this.#now = now;
  }

  /** Undefined for a build that has ended. */
  async of(build: Build, withPrivate = true): Promise<Estimate | undefined> {
    return (await this.ofAll([build], withPrivate)).get(build.id);
  }

  /** By id; those that have ended have none. */
  async ofAll(builds: readonly Build[], withPrivate = true): Promise<ReadonlyMap<number, Estimate>> {
    const open = builds.filter(({ state }) => state === "queued" || state === "building");
    if (open.length === 0) return new Map();
    const usual = await this.#usual(open);
    const starts = await this.#starts(
      open.filter(({ state }) => state === "queued"),
      withPrivate,
    );
    return new Map(
      open.map(({ id, state, started_at }, at) => {
        const buildSeconds = usual[at] ?? null;
        const elapsed = started_at === null ? 0 : (Date.now() - started_at.getTime()) / 1000;
        const isRunning = state === "building" && buildSeconds !== null;
        const remainingSeconds = isRunning ? Math.max(0, buildSeconds - elapsed) : null;
        return [id, { buildSeconds, startSeconds: starts.get(id) ?? null, remainingSeconds }];
      }),
    );
  }

  /** When builds begin that wait, by id, where that can be told. */
  async #starts(builds: readonly Build[], withPrivate: boolean): Promise<ReadonlyMap<number, number>> {
    const starts = new Map<number, number>();
    if (builds.length === 0) return starts;
    const names = [...new Set(builds.map(({ queue }) => queue))];
    const queues = await this.#database.query<QueueState>(
      "select * from croft.queues where name = any($1::text[]) and not paused",
      [names],
    );
    const active = await this.#active(withPrivate);
    const waiting = await this.#first(names, Math.max(1, Math.floor(mostBefore / names.length)));
    const alike = Map.groupBy(builds, ({ queue, croft_only, refused_by }) =>
      JSON.stringify([queue, croft_only, refused_by]),
    );
    const idleFor = await this.#waiting.idle(withPrivate);
    for (const some of alike.values()) {
      const [build] = some;
      const queue = queues.find(({ name }) => name === build!.queue);
      if (!queue) continue;
      const running = runningFor(queue, build!, active);
      const idle = idleFor(queue, build!);
      const line = await this.#play(queue, { running, idle, waiting: waiting.get(queue.name) ?? [] });
      for (const { id } of some) if (line.has(id)) starts.set(id, line.get(id)!);
    }
    return starts;
  }

  /** Gives what waits in a queue to the agents that could build it, each as soon as it is free; when each begins, by id. */
  async #play(
    { target, running_limit }: QueueState,
    { running, idle, waiting }: { running: readonly Running[]; idle: number; waiting: readonly Waiting[] },
  ): Promise<ReadonlyMap<number, number>> {
    const starts = new Map<number, number>();
    const kinds = [...running, ...waiting.map(({ name }) => ({ name, target }))];
    const usual = await this.#usual(kinds);
    const fallback = usual.includes(null) ? await this.#usualOfTarget(target) : null;
    const seconds = (at: number) => usual[at] ?? fallback;
    const free: number[] = Array.from({ length: idle }, () => 0);
    for (const [at, { elapsed }] of running.entries()) {
      const takes = seconds(at);
      if (takes === null) return starts;
      free.push(Math.max(0, takes - elapsed));
    }
    free.splice(running_limit ?? Infinity);
    if (free.length === 0) return starts;
    for (const [at, { id }] of waiting.entries()) {
      const first = free.indexOf(Math.min(...free));
      starts.set(id, free[first]!);
      const takes = seconds(running.length + at);
      if (takes === null) return starts;
      free[first]! += takes;
    }
    return starts;
  }

  /** How long each usually takes: the median of its last successes. */
  async #usual(kinds: readonly Kind[]): Promise<(number | null)[]> {
    const keyOf = ({ name, target }: Kind) => `${target} ${name}`;
    const atMs = this.#now();
    if (this.#known.size > mostRemembered) this.#known.clear();
    const isNew = (kind: Kind) => atMs - (this.#known.get(keyOf(kind))?.atMs ?? -Infinity) > believedMs;
    const alike = alongIndex({ name: "asked.name", target: "asked.target" });
    const asked = [...new Map(kinds.filter(isNew).map((kind) => [keyOf(kind), kind])).values()];
    if (asked.length > 0)
      for (const { seconds, ...kind } of await this.#database.query<Kind & { seconds: number | null }>(
        `select asked.name, asked.target, (
           select percentile_cont(0.5) within group (order by extract(epoch from last.finished_at - last.started_at))
           from (select started_at, finished_at from croft.builds where ${alike.condition}
             and state = 'finished' and status in ('success', 'warning') order by ${alike.newestFirst} limit ${lookedAt}) as last
         )::double precision as seconds from unnest($1::text[], $2::text[]) as asked (name, target)`,
        [asked.map(({ name }) => name), asked.map(({ target }) => target)],
      ))
        this.#known.set(keyOf(kind), { seconds, atMs });
    return kinds.map((kind) => this.#known.get(keyOf(kind))?.seconds ?? null);
  }

  /** The builds that are given out first, by queue. */
  async #first(queues: readonly string[], most: number): Promise<ReadonlyMap<string, readonly Waiting[]>> {
    const rows = await this.#database.query<Waiting & { queue: string }>(
      `select asked.queue, first.id, first.name from unnest($1::text[]) as asked (queue) cross join lateral (
         select queue_priority, rank, id, name from croft.builds where queue = asked.queue and state = 'queued'
         order by queue_priority desc, rank, id limit $2::integer) as first
       order by asked.queue, first.queue_priority desc, first.rank, first.id`,
      [queues, most],
    );
    return Map.groupBy(rows, ({ queue }) => queue);
  }

  async #active(withPrivate: boolean): Promise<Running[]> {
    return await this.#database.query<Running>(
      `select b.name, b.target, s.agent, s.machine, s.toolchain,
         extract(epoch from now() - s.created_at)::double precision as elapsed
       from croft.sessions s join croft.builds b on b.id = s.build where s.state = 'active'
         and ($1 or not b.is_private)`,
      [withPrivate],
    );
  }

  async #usualOfTarget(target: string): Promise<number | null> {
    const alike = alongIndex({ target: "$1::text", state: "'finished'" });
    const [row] = await this.#database.query<{ seconds: number | null }>(
      `select percentile_cont(0.5) within group (order by extract(epoch from finished_at - started_at))::double precision
         as seconds from (select * from croft.builds where ${alike.condition} order by ${alike.newestFirst} limit 50)
         as last where status in ('success', 'warning')`,
      [target],
    );
    return row!.seconds;
  }
}

/** What is being built by agents that could build another one of a queue. */
function runningFor(
  queue: QueueState,
  { refused_by }: Build,
  active: readonly Running[],
): readonly Running[] {
  return active.filter(
    ({ agent, machine, toolchain }) =>
      !refused_by.includes(agent) &&
      machineFor(
        { ...queue, auxiliary: null },
        {
          ...{ toolchain, machines: [machine], interactive: "both" },
          ...{ mayHavePrivate: true, takesVariables: true, takesTrees: true },
        },
      ) !== undefined,
  );
}
