/** What forges told of by their hooks, what became of it, and what they are to be told. */
export const forgeTables = `
  create table croft.forge_events (
    id integer generated always as identity primary key,
    repository text not null,     -- its name in the configuration
    delivery text not null,       -- what the forge calls the request
    digest text not null,         -- of its body
    kind text not null check (kind in ('push', 'tag', 'pull-request')),
    reference text not null,      -- branch, tag, or number of the pull request
    commit text not null,
    event jsonb not null,         -- as it was read
    trusted boolean not null,     -- a push to what the configuration names
    state text not null check (state in ('built', 'waiting', 'rejected', 'superseded')),
    decided_by text,              -- who approved or rejected what waited
    created_at timestamptz not null default now(),
    unique (repository, delivery)
  );
  create index forge_events_by_commit on croft.forge_events (repository, kind, reference, commit);
  create index forge_events_waiting on croft.forge_events (id) where state = 'waiting';
  alter table croft.builds
    add column event integer references croft.forge_events,
    add column on_badge boolean not null default true; -- of no pull request, nor another branch than the usual one
  create index builds_by_event on croft.builds (event) where event is not null;
  create index builds_on_badge on croft.builds (name, target, id) where state = 'finished' and on_badge;
  create table croft.commit_statuses (
    id integer generated always as identity primary key,
    event integer not null references croft.forge_events,
    context text not null,        -- what the forge shows it as
    build integer not null references croft.builds on delete cascade,
    sent text,                    -- what the forge knows
    tries integer not null default 0,
    due_at timestamptz not null default now(),
    held_until timestamptz,       -- by who is telling the forge
    open boolean not null default true, -- more is to come, or to be tried
    trouble text,                 -- why the last try failed
    unique (event, context)
  );
  create index commit_statuses_open on croft.commit_statuses (due_at) where open;
  create index commit_statuses_by_build on croft.commit_statuses (build);
  `;
