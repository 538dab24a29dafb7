/** Tables of controllers that share a database. */
export const fleetTables = `
  -- Live logs of controllers that share a database (files/shared-live-logs.ts)
  create table croft.live_logs (
    session integer primary key,
    bytes integer not null default 0,
    held bytea not null default '',     -- what may be the beginning of a secret
    digest text references croft.blobs  -- where all of it is, once nothing more comes
  );
  create index live_logs_by_digest on croft.live_logs (digest) where digest is not null;
  create index live_logs_growing on croft.live_logs (session) where digest is null;
  create table croft.live_log_chunks (
    session integer not null references croft.live_logs on delete cascade,
    start integer not null,
    content bytea not null,
    primary key (session, start)
  );
  alter table croft.live_log_chunks alter column content set storage external; -- parts of it are read
  -- By what the storage of blobs is known (files/storage.ts), in one row
  create table croft.storage (
    is_only boolean primary key default true check (is_only),
    mark text not null,
    is_used boolean not null default false
  );
  alter table croft.controllers add column tables integer; -- up to which step it knows them, null before this one
  alter table croft.schema_version add column oldest integer not null default 0; -- version of the tables that may still be used
  `;
