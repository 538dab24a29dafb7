/** What people and their programs are told of builds, and what tests said. */
export const messageTables = `
  -- Builds that came into another state, until it is looked up who is to be told (builds/noted-changes.ts)
  create table croft.build_changes (
    id integer generated always as identity primary key,
    build integer not null,
    state text not null,
    at timestamptz not null default clock_timestamp()
  );
  -- How each package stands for a target, as people were told last
  create table croft.standings (
    name text not null,
    target text not null,
    build integer not null,       -- which it is known from
    is_good boolean not null,
    primary key (name, target)
  );
  create table croft.deliveries (
    id integer generated always as identity primary key,
    notification text not null,   -- its name in the configuration
    build integer not null,       -- no reference: it would lock the build, which agents then pass over
    event text not null,
    body text not null,           -- the same whenever it is sent
    state text not null check (state in ('open', 'delivered', 'failed')),
    tries integer not null default 0, -- since it was asked for last
    created_at timestamptz not null default now(),
    due_at timestamptz not null default now(),
    held_until timestamptz,       -- by who is sending it
    ended_at timestamptz
  );
  create index deliveries_open on croft.deliveries (notification, due_at) where state = 'open';
  create index deliveries_by_build on croft.deliveries (build);
  create index deliveries_by_end on croft.deliveries (ended_at) where state <> 'open';
  create table croft.delivery_attempts (
    delivery integer not null references croft.deliveries on delete cascade,
    at timestamptz not null,
    seconds double precision not null,
    answer text,                  -- code of the answer, if there was one
    trouble text                  -- null: it was taken
  );
  create index delivery_attempts_by_delivery on croft.delivery_attempts (delivery, at);
  -- Reports of tests among the artifacts (reports/)
  create table croft.test_reports (
    session integer not null references croft.sessions on delete cascade,
    name text not null,           -- of the artifact
    tests integer not null,
    failures integer not null,
    errors integer not null,
    skipped integer not null,
    seconds double precision not null,
    trouble text,                 -- why it, or the rest of it, could not be read
    primary key (session, name)
  );
  create table croft.failed_tests (
    session integer not null,
    report text not null,
    ordinal integer not null,
    suite text not null,
    name text not null,
    kind text not null check (kind in ('failure', 'error')),
    message text not null,
    details text not null,
    seconds double precision not null,
    primary key (session, report, ordinal),
    foreign key (session, report) references croft.test_reports on delete cascade
  );
  `;
