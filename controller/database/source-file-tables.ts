/** What the `.croft.yaml` of repositories asks for: reading it, what is built later, and by the clock. */
export const sourceFileTables = `
  alter table croft.forge_events
    drop constraint forge_events_kind_check,
    drop constraint forge_events_state_check,
    add constraint forge_events_kind_check check (kind in ('push', 'tag', 'pull-request', 'schedule')),
    add constraint forge_events_state_check check (state in
      ('reading', 'built', 'waiting', 'rejected', 'superseded', 'failed')),
    add column tries integer not null default 0,  -- of reading its file
    add column due_at timestamptz not null default now(),
    add column held_until timestamptz,            -- by who is reading it
    add column trouble text;                      -- why it could not be read, or what is wrong in it
  create index forge_events_reading on croft.forge_events (due_at) where state = 'reading';
  alter table croft.commit_statuses alter column build drop not null; -- none: what is wrong with the event itself
  -- Builds of an event that wait for others of it to succeed
  create table croft.later_builds (
    event integer not null references croft.forge_events,
    name text not null,           -- in the file
    needs text[] not null,
    submissions jsonb not null,   -- what is queued then
    kept boolean not null,        -- whatever their age
    state text not null check (state in ('waiting', 'queued', 'skipped')),
    reason text,                  -- why it was skipped
    primary key (event, name)
  );
  create index later_builds_waiting on croft.later_builds (event) where state = 'waiting';
  create table croft.schedules (
    repository text not null,     -- its name in the configuration
    cron text not null,
    zone text not null,
    builds text[] not null,       -- names in the file, empty for all
    event jsonb not null,         -- what happens then, but for the commit
    next_at timestamptz not null,
    primary key (repository, cron, zone, builds)
  );
  create index schedules_due on croft.schedules (next_at);
  `;
