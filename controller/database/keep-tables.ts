/** What builds were made with, so that those that would come to the same are skipped; keys of agents. */
export const keepTables = `
  alter table croft.sessions
    add column machine_id text,         -- the machine's revision
    add column toolchain_version text,
    add column restored boolean not null default false; -- it was going on when a backup was made that was restored
  alter table croft.builds add column same_as integer; -- the build whose result a skipped one would have had again
  -- Public keys of agents that were added while a controller runs
  create table croft.agent_keys (
    fingerprint text primary key,       -- SHA-256 of the key's SubjectPublicKeyInfo in DER form
    name text not null unique,
    pem text not null,
    created_at timestamptz not null default now()
  );
  -- The last durations of a package for a target
  create index builds_by_success on croft.builds (name, target, id)
    where state = 'finished' and status in ('success', 'warning');
  `;
