/** The controller's tables, as steps that are only ever added to. */
import { Failure } from "../../os/failure.ts";
import type { Database, Sql } from "./database.ts";
import { fleetTables } from "./fleet-tables.ts";
import { forgeTables } from "./forge-tables.ts";
import { keepTables } from "./keep-tables.ts";
import { messageTables } from "./message-tables.ts";
import { pageTables } from "./page-tables.ts";
import { removalTables } from "./removal-tables.ts";
import { secretTables } from "./secret-tables.ts";
import { sourceFileTables } from "./source-file-tables.ts";

const steps: readonly string[] = [
  `
  create table croft.queues (
    name text primary key,
    target text not null,
    machine text not null,        -- pattern of the machine's name
    toolchain text not null,      -- pattern of the toolchain's name
    interactive boolean not null
  );
  create table croft.builds (
    id integer generated always as identity primary key,
    name text not null,
    version text not null,
    target text not null,
    repository text not null,
    specification jsonb not null, -- what a task and a rebuild are made from
    queue text not null references croft.queues,
    priority integer not null,
    queue_priority integer not null,
    state text not null check (state in ('queued', 'building', 'finished', 'cancelled')),
    status text,                  -- of the result, once finished
    job uuid not null,            -- in the queue
    session integer,              -- the latest attempt
    attempts integer not null default 0,
    aborts integer not null default 0,
    submitted_by text,
    rebuild_of integer,
    created_at timestamptz not null default now(),
    queued_at timestamptz not null default now(),
    started_at timestamptz,
    finished_at timestamptz
  );
  create index builds_by_state on croft.builds (state, id);
  create index builds_by_target on croft.builds (target, id);
  create index builds_by_name on croft.builds (name, id);
  create unique index builds_by_job on croft.builds (job);
  create table croft.sessions (
    id integer generated always as identity primary key,
    token text not null unique,
    build integer not null references croft.builds on delete cascade,
    attempt integer not null,
    claim integer not null,       -- the queue's count of claims of the job
    agent text not null,
    toolchain text not null,
    machine text not null,
    fingerprint text,
    challenge text,
    state text not null check (state in ('active', 'finished', 'expired', 'superseded', 'cancelled')),
    status text,
    lease_seconds integer not null,
    created_at timestamptz not null default now(),
    expires_at timestamptz not null,
    ended_at timestamptz,
    result_digest text,
    worker_checksum text,
    dependency_checksum text,
    agent_checksum text
  );
  create index sessions_by_build on croft.sessions (build, id);
  create index sessions_by_expiry on croft.sessions (expires_at) where state = 'active';
  create table croft.operations (
    session integer not null references croft.sessions on delete cascade,
    ordinal integer not null,
    name text not null,
    status text not null,
    log_digest text not null,
    log_bytes double precision not null,
    log_lines integer not null,
    warnings integer not null,
    errors integer not null,
    primary key (session, ordinal)
  );
  create table croft.artifacts (
    session integer not null references croft.sessions on delete cascade,
    type text not null,
    name text not null,
    digest text not null,
    bytes double precision not null,
    created_at timestamptz not null default now(),
    primary key (session, type, name)
  );
  `,
  `
  -- Proofs that agents gave, so that each counts once
  create table croft.proofs (
    fingerprint text not null,
    nonce text not null,
    time double precision not null, -- seconds since 1970, as the agent says
    primary key (fingerprint, nonce)
  );
  create index proofs_by_time on croft.proofs (time);
  `,
  // Builds are claimed from their own table; until then a queue library kept a job for each in tables of its own.
  `
  alter table croft.queues
    add column paused boolean not null default false,
    add column running_limit integer,   -- how many of its builds may run at once, if that is limited
    add column running integer not null default 0,
    add column last_turn timestamptz;   -- when it last gave out a build
  create table croft.turns (
    queue text not null references croft.queues,
    priority integer not null,
    submitter text not null,            -- empty for who needs no token
    rank integer not null,              -- of the submitter's latest build
    primary key (queue, priority, submitter)
  );
  create table croft.served (
    queue text not null references croft.queues,
    priority integer not null,
    rank integer not null,              -- the highest that was given out
    primary key (queue, priority)
  );
  alter table croft.builds add column rank integer not null default 0;
  update croft.builds b set rank = place.rank from (
    select id, row_number() over (partition by queue, priority order by id) as rank from croft.builds
    where state = 'queued' and queue_priority = priority
  ) as place where place.id = b.id;
  insert into croft.turns select queue, priority, coalesce(submitted_by, ''), max(rank) from croft.builds
    where rank > 0 group by 1, 2, 3;
  update croft.queues q set running =
    (select count(*) from croft.builds b where b.queue = q.name and b.state = 'building');
  create index builds_queued on croft.builds (queue, queue_priority desc, rank, id) where state = 'queued';
  alter table croft.builds drop column job, alter column rank drop default;
  alter table croft.sessions drop column claim;
  drop schema if exists croft_queue cascade;
  `,
  // Whose fault it was that a build went back to its queue is counted by kind; until then a lost lease counted as nothing.
  `
  alter table croft.builds
    add column faults integer not null default 0,
    add column interrupts integer not null default 0,
    add column faulty_host text;        -- whose fault put it back last
  alter table croft.sessions add column fault text; -- the host's, if it had one
  update croft.sessions set fault = 'no result before its lease ended' where state in ('expired', 'superseded');
  update croft.builds b set faults = s.faults, interrupts = s.interrupts from (
    select build, count(fault) as faults, count(*) filter (where status = 'interrupt') as interrupts
    from croft.sessions group by build
  ) as s where s.build = b.id and s.faults + s.interrupts > 0;
  `,
  `
  -- What agents offer that wait, so that any controller knows it by its token
  create table croft.offers (
    token text primary key,
    digest text not null unique,
    offer jsonb not null,
    owner text not null,          -- the key or address that made it first
    bytes integer not null,
    used_at timestamptz not null default now()
  );
  create index offers_by_owner on croft.offers (owner);
  `,
  `
  alter table croft.builds add column croft_only boolean not null default false; -- beyond what other agents read
  create index builds_queued_for_all on croft.builds (queue, queue_priority desc, rank, id)
    where state = 'queued' and not croft_only;
  `,
  `
  alter table croft.sessions add column signs_until timestamptz; -- if its agent gives signs of life
  create table croft.controllers (
    name text primary key,
    seen_at timestamptz not null  -- when it last said that it is there
  );
  `,
  `
  -- How many builds of a queue are in which state ("running" is that of those that are being built)
  alter table croft.queues
    add column queued integer not null default 0,
    add column finished integer not null default 0,
    add column cancelled integer not null default 0;
  update croft.queues q set queued = b.queued, finished = b.finished, cancelled = b.cancelled from (
    select queue, count(*) filter (where state = 'queued') as queued,
      count(*) filter (where state = 'finished') as finished,
      count(*) filter (where state = 'cancelled') as cancelled
    from croft.builds group by queue
  ) as b where b.queue = q.name;
  create index builds_by_status on croft.builds (status, id);
  create index builds_by_target_and_state on croft.builds (target, state, id);
  `,
  `
  create table croft.tokens (
    name text primary key,
    role text not null check (role in ('read', 'submit', 'trusted', 'admin')),
    sha256 text not null unique,
    created_at timestamptz not null default now()
  );
  create table croft.sign_ins (
    digest text primary key,      -- of the value of the browser's cookie
    token_sha256 text not null,
    expires_at timestamptz not null
  );
  create index sign_ins_by_expiry on croft.sign_ins (expires_at);
  `,
  `
  alter table croft.builds add column refused_by text[] not null default '{}'; -- hosts that cannot do what it asks for
  `,
  `
  -- What is stored of logs and artifacts, so that it is known when nothing refers to it (files/blobs.ts)
  create table croft.blobs (
    digest text primary key,
    bytes double precision not null,
    used_at timestamptz not null default now() -- when it was last said that something will refer to it
  );
  insert into croft.blobs select digest, max(bytes) from (
    select log_digest as digest, log_bytes as bytes from croft.operations
    union all select digest, bytes from croft.artifacts
  ) as stored group by digest;
  create index operations_by_log on croft.operations (log_digest);
  create index artifacts_by_digest on croft.artifacts (digest);
  alter table croft.builds add column pinned boolean not null default false; -- kept whatever its age
  create index builds_ended on croft.builds (name, target, id) where state in ('finished', 'cancelled');
  create index builds_by_end on croft.builds (finished_at, id) where state in ('finished', 'cancelled');
  `,
  `
  create table croft.agents (
    name text primary key,
    offer jsonb not null,         -- of its last request
    version text,                 -- of croft, null if it is of another make
    waits boolean not null,       -- whether it was given nothing then
    heard_at timestamptz not null
  );
  create table croft.pauses (
    kind text not null check (kind in ('all', 'agent', 'target')),
    name text not null,           -- empty for all
    reason text,
    paused_by text,               -- name of a token, null if by control.sock
    created_at timestamptz not null default now(),
    primary key (kind, name)
  );
  `,
  forgeTables,
  // What builds ask for in auxiliary machines, and what they got.
  `
  alter table croft.queues add column auxiliary jsonb;   -- patterns of names of machines, by what the build calls them
  alter table croft.sessions add column auxiliary jsonb  -- names of machines
  `,
  secretTables,
  fleetTables,
  sourceFileTables,
  keepTables,
  messageTables,
  pageTables,
  removalTables,
  // Builds with variables have queues of their own, as agents of earlier versions would leave them out.
  `
  alter table croft.queues add column variables boolean not null default false
  `,
  // Working trees that were sent with a submission: they are removed with the last build that has them.
  `
  alter table croft.builds add column tree text references croft.blobs; -- digest of the archive
  create index builds_by_tree on croft.builds (tree) where tree is not null;
  alter table croft.queues add column trees boolean not null default false -- for agents that get it and hand it on
  `,
];

/** Any number that no other program on the same server uses for the same. */
const migrationLock = 0x63726f66;

/** Steps, and the numbers (from 1) of those after which controllers of earlier versions cannot go on. */
interface Tables {
  steps: readonly string[];
  unbearable: readonly number[];
}

/** Those of this version. */
export const croftTables: Tables = { steps, unbearable: [] };

/** Up to which step this version knows the tables. */
export const knownTables = steps.length;

/** The first version of the tables in which it is noted who uses them, and who may. */
const firstNoted = steps.indexOf(fleetTables) + 1;

/**
 * Brings the tables up to date; several controllers may start at once, and such of earlier versions go on running if they
 * can.
 *
 * @param self the controller's name among those of the database
 * @returns whether a later version has made the tables, which this one can use all the same.
 * @throws {Failure} if it cannot, or a controller uses the tables that could not after this.
 */
export async function migrate(
  database: Database,
  self = "",
  { steps, unbearable }: Tables = croftTables,
): Promise<boolean> {
  return await database.transaction(async (sql) => {
    // Before anything else: "if not exists" is no protection from another session that is making the same.
    await sql.query("select pg_advisory_xact_lock($1)", [migrationLock]);
    await sql.query("create schema if not exists croft");
    await sql.query("create table if not exists croft.schema_version (version integer not null)");
    const [row] = await sql.query<{ version: number; oldest?: number }>("select * from croft.schema_version");
    const from = row?.version ?? 0;
    if (from > steps.length) {
      if (row?.oldest !== undefined && row.oldest <= steps.length) return true;
      throw new Failure("use the database", "a later version of croft made its tables", {
        hints: ["Start that version, or use another database."],
      });
    }
    const oldest = Math.max(0, ...unbearable);
    if (from >= firstNoted && oldest > from) await refuseWhileUsed(sql, self, oldest);
    for (const step of steps.slice(from))
      for (const statement of step.split(";")) if (statement.trim()) await sql.query(statement);
    if (row) await sql.query("update croft.schema_version set version = $1", [steps.length]);
    else await sql.query("insert into croft.schema_version values ($1)", [steps.length]);
    await sql.query("update croft.schema_version set oldest = $1", [oldest]);
    return false;
  });
}

/** Those that have not said for some seconds that they are there have ended. */
async function refuseWhileUsed(sql: Sql, self: string, oldest: number): Promise<void> {
  const [user] = await sql.query<{ name: string }>(
    `select name from croft.controllers where name <> $1 and coalesce(tables, 0) < $2
       and seen_at > clock_timestamp() - interval '15 seconds' limit 1`,
    [self, oldest],
  );
  if (!user) return;
  throw new Failure(
    "change the tables of the database",
    `a controller of an earlier version uses them (${user.name}), and could not any more`,
    { hints: ["Stop all controllers of earlier versions, and start this one again."] },
  );
}
