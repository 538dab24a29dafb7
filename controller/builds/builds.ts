/** Builds as people and programs see them: submitted, listed, cancelled, built again. */
import { Failure } from "../../os/failure.ts";
import type { Changes } from "./noting/changes.ts";
import type { Database, Sql } from "../database/database.ts";
import type { Build, BuildState } from "./build.ts";
import { anybody, type Clearances, type Requester } from "./clearances.ts";
import { matchesPattern } from "./name-pattern.ts";
import { countBuilds, listBuilds, type BuildFilter } from "./listed.ts";
import type { BuildQueue, Clearance } from "./queue.ts";
import { specificationFor, type Specification, type Submission, type Target } from "./specification.ts";
import { checkSpecification } from "./tasks.ts";

/** What builds are made for, if nobody submitted them. */
export interface Cause {
  /** Whether their package's badge tells of them. */
  onBadge: boolean;
  /** Whether the controller knows by it where their commit comes from; else they are built without secrets. */
  isTrusted: boolean;
  /** Whether they are kept whatever their age: by label. */
  isKept?: (label: string | undefined) => boolean;
  /** Writes it down, in the transaction that queues them; undefined: nothing is to be built after all. */
  note(sql: Sql): Promise<number | undefined>;
}

/** A build that cannot be changed as asked because of the state it is in. */
export class ConflictFailure extends Failure {}

/** Builds and what may be done with them. */
export class Builds {
  readonly #database: Database;
  readonly #queue: Pick<BuildQueue, "ensure" | "add" | "move" | "count">;
  readonly #targets: readonly Target[];
  readonly #changes: Changes;
  readonly #clearances: Pick<Clearances, "of">;

  constructor(
    database: Database,
    queue: Pick<BuildQueue, "ensure" | "add" | "move" | "count">,
    targets: readonly Target[],
    changes: Changes,
    clearances: Pick<Clearances, "of">,
  ) {
    this.#database = database;
    this.#queue = queue;
    this.#targets = targets;
    this.#changes = changes;
    this.#clearances = clearances;
  }

  /** What builds can be made for. */
  get targetNames(): string[] {
    return this.#targets.map(({ name }) => name);
  }

  /**
   * Queues one build for each target, all or none.
   *
   * @throws {Failure} if no target matches, or no task can be made of it.
   */
  async submit(
    submission: Submission,
    by: string | null,
    requester: Requester = anybody,
    cause?: Cause,
  ): Promise<Build[]> {
    return await this.#queueAll(this.#specificationsFor(submission), by, requester, null, cause);
  }

  /** @throws {Failure} if {@link submit} would. */
  async check(submission: Submission, requester: Requester): Promise<void> {
    for (const what of this.#specificationsFor(submission)) {
      checkSpecification(what);
      await this.#clearances.of(what, requester);
    }
  }

  /** Queues builds of several submissions at once, for one cause. */
  async submitAll(submissions: readonly Submission[], by: string | null, cause: Cause): Promise<Build[]> {
    const specifications = submissions.flatMap((one) => this.#specificationsFor(one));
    return await this.#queueAll(specifications, by, anybody, null, cause);
  }

  #specificationsFor(submission: Submission): Specification[] {
    const targets = this.#targets.filter((target) =>
      submission.targets.some((pattern) => matchesPattern(pattern, target.name)),
    );
    const unmatched = submission.targets.find(
      (pattern) => !targets.some(({ name }) => matchesPattern(pattern, name)),
    );
    if (unmatched !== undefined || targets.length === 0)
      throw new Failure(`submit ${submission.name}`, `there is no target '${unmatched ?? ""}'`, {
        hints: [`Targets: ${this.targetNames.join(", ")}`],
      });
    return targets.map((target) => specificationFor(submission, target));
  }

  /** Queues the same build again, to be built whatever has changed. It is as trusted as before only if the commit is the same: that of a forge's event is. */
  async rebuild(build: Build, by: string | null, requester: Requester = anybody): Promise<Build> {
    const { event, on_badge: onBadge, is_trusted: isTrusted } = build;
    const cause = event === null ? undefined : { onBadge, isTrusted, note: async () => event };
    const what = { ...build.specification, force: true };
    const [again] = await this.#queueAll([what], by, requester, build.id, cause);
    return again!;
  }

  async #queueAll(
    specifications: readonly Specification[],
    by: string | null,
    requester: Requester,
    of: number | null,
    cause?: Cause,
  ): Promise<Build[]> {
    specifications.forEach(checkSpecification);
    const who = cause ? { isKnown: true, isTrusted: cause.isTrusted } : requester;
    const cleared: { what: Specification; clearance: Clearance; queue: string }[] = [];
    for (const specification of specifications) {
      const what = cause?.isTrusted === false ? withoutSecrets(specification) : specification;
      const clearance = await this.#clearances.of(what, who);
      const { target, machine, toolchain, interactive, auxiliary = null } = what;
      const key = { target, machine, toolchain, auxiliary, interactive: interactive !== undefined };
      const queue = await this.#queue.ensure({
        ...key,
        private: clearance.hasSecrets,
        variables: what.variables !== undefined,
        trees: what.tree !== undefined,
      });
      cleared.push({ what, clearance, queue });
    }
    const builds = await this.#database.transaction(async (sql) => {
      const made: Build[] = [];
      const event = await cause?.note(sql);
      if (cause && event === undefined) return made;
      for (const { what, clearance, queue } of cleared)
        made.push(await this.#queue.add(sql, queue, what, by, of, clearance));
      if (cause && event !== undefined) await assign(sql, made, event, cause);
      if (made.length > 1 || event !== undefined) await group(sql, made, event);
      return made;
    });
    for (const { id } of builds) this.#changes.announce("state", id);
    return builds;
  }

  async find(id: number): Promise<Build | undefined> {
    const [build] = await this.#database.query<Build>("select * from croft.builds where id = $1", [id]);
    return build;
  }

  /** Those of several that everybody may read of. */
  async publicOf(ids: readonly number[]): Promise<number[]> {
    if (ids.length === 0) return [];
    const rows = await this.#database.query<{ id: number }>(
      "select id from croft.builds where id = any($1::integer[]) and not is_private order by id",
      [ids],
    );
    return rows.map(({ id }) => id);
  }

  /** Newest first. */
  async list(filter: BuildFilter): Promise<Build[]> {
    return await listBuilds(this.#database, filter);
  }

  /** How many a list has in each state, whatever state it is narrowed to; more than {@link mostCounted} are not told apart. */
  async countListed(filter: BuildFilter): Promise<Record<BuildState, number>> {
    return await countBuilds(this.#database, filter);
  }

  /**
   * Makes sure that a target is one: configured, or of a build.
   *
   * @param action what is done with it, for the message
   * @param publicOnly of a build that everybody may read of
   * @throws {Failure} naming those that are configured.
   */
  async checkTarget(target: string, action: string, publicOnly = false): Promise<void> {
    if (this.#targets.some(({ name }) => name === target)) return;
    if ((await this.list({ target, publicOnly, limit: 1 })).length > 0) return;
    throw new Failure(action, `there is no target '${target}'`, {
      hints: [`Targets: ${this.targetNames.join(", ")}`],
    });
  }

  /** How many builds there are in each state. */
  async count(withPrivate = true): Promise<Record<BuildState, number>> {
    return await this.#queue.count(withPrivate);
  }

  /** Keeps a build whatever its age, or no longer; undefined if there is none. */
  async pin(id: number, pinned: boolean): Promise<Build | undefined> {
    const [build] = await this.#database.query<Build>(
      "update croft.builds set pinned = $2 where id = $1 returning *",
      [id, pinned],
    );
    if (build) this.#changes.announce("state", id);
    return build;
  }

  /**
   * Takes a build out of the queue, or away from its agent, whose result will be refused.
   *
   * @throws {ConflictFailure} if it has ended.
   */
  async cancel(id: number): Promise<void> {
    await this.#database.transaction(async (sql) => {
      const [build] = await sql.query<Build>("select * from croft.builds where id = $1 for update", [id]);
      if (build?.state !== "queued" && build?.state !== "building")
        throw new ConflictFailure(`cancel build ${id}`, `it is ${build?.state ?? "gone"}`);
      await this.#queue.move(sql, build, "cancelled");
      await sql.query("update croft.builds set state = 'cancelled', finished_at = now() where id = $1", [id]);
      await sql.query(
        `update croft.sessions set state = 'cancelled', ended_at = now()
         where build = $1 and state in ('active', 'expired')`,
        [id],
      );
    });
    this.#changes.announce("state", id);
  }
}

/** Has builds be shown together that were asked for together; those of a forge's event, also if they come later. */
async function group(sql: Sql, made: readonly Build[], event: number | undefined): Promise<void> {
  const [first] = await sql.query<{ id: number }>(
    `update croft.builds set submission = least($2::integer, (select min(id) from croft.builds where event = $3))
     where id = any($1::integer[]) returning submission as id`,
    [made.map(({ id }) => id), made[0]?.id ?? null, event ?? null],
  );
  for (const build of made) Object.assign(build, { submission: first?.id ?? null });
}

/** A stranger's commit is built all the same. */
function withoutSecrets({ secrets: _, ...rest }: Specification): Specification {
  return rest;
}

/** Says what builds are made for. */
async function assign(
  sql: Sql,
  builds: readonly Build[],
  event: number,
  { onBadge, isKept }: Cause,
): Promise<void> {
  const ids = builds.map(({ id }) => id);
  const kept = builds.filter(({ specification }) => isKept?.(specification.label)).map(({ id }) => id);
  if (kept.length > 0)
    await sql.query("update croft.builds set pinned = true where id = any($1::integer[])", [kept]);
  await sql.query("update croft.builds set event = $2, on_badge = $3 where id = any($1::integer[])", [
    ids,
    event,
    onBadge,
  ]);
  // Another build for the same target takes the place of the one that the forge knows of.
  await sql.query(
    `insert into croft.commit_statuses (event, context, build)
       select $2, 'croft/' || coalesce((specification->>'label') || '/', '') || target, id from croft.builds where id = any($1::integer[])
     on conflict (event, context) do update set build = excluded.build, open = true, tries = 0, due_at = clock_timestamp()`,
    [ids, event],
  );
  for (const build of builds)
    Object.assign(build, { event, on_badge: onBadge, pinned: kept.includes(build.id) });
}
