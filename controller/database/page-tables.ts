/** Which builds were submitted together, and what lists of builds are narrowed by. */
export const pageTables = `
  alter table croft.builds add column submission integer; -- the first build of its submission, null if it is the only one
  create index builds_by_submission on croft.builds (submission, id) where submission is not null;
  create index builds_by_creation on croft.builds (created_at, id);
  create index sessions_by_agent on croft.sessions (agent, build);
  `;
