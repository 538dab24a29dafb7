/** Secrets and credentials, encrypted with a key that is not in the database; and the builds that have them. */
export const secretTables = `
  create table croft.secrets (
    name text not null,
    repository text not null,     -- URL prefix, empty for all
    sealed text not null,         -- as controller/secrets/key.ts has it
    set_at timestamptz not null default now(),
    primary key (name, repository)
  );
  create table croft.credentials (
    url text primary key,         -- prefix
    kind text not null check (kind in ('password', 'key')),
    username text not null,
    sealed text not null,
    set_at timestamptz not null default now()
  );
  alter table croft.builds
    add column is_trusted boolean not null default false, -- the controller knows where its commit came from
    add column is_private boolean not null default false; -- has secrets, or its repository needs a credential
  alter table croft.queues add column private boolean not null default false; -- only for agents that prove who they are
  create index builds_private on croft.builds (state, name, target) where is_private;
  -- What machines were given, to be hidden in what comes from them, and gone when the build ends
  create table croft.handed_secrets (
    id integer generated always as identity primary key,
    build integer not null references croft.builds on delete cascade,
    sealed text not null
  );
  create index handed_secrets_by_build on croft.handed_secrets (build);
  `;
