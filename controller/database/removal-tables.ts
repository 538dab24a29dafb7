/** Removals of blobs that may still be carried out, so that nothing is stored under such a name meanwhile (files/blobs.ts). */
export const removalTables = `
  alter table croft.blobs add column generation integer not null default 0; -- a part of what it is stored as
  create table croft.removals (
    digest text not null,
    generation integer not null,
    sends integer not null default 0,   -- how often the storage was asked, of which each may be carried out late
    began_at timestamptz not null default now(),
    primary key (digest, generation)
  );
  `;
