/**
 * Which events everybody may read of: those of whose builds everybody may. An event tells the name of a repository, commits and
 * who made them, so it is private as soon as one of its builds is, or would be if it were built.
 */
import type { Vault } from "../secrets/vault.ts";
import type { Repository } from "./repositories.ts";

/** A condition on `croft.forge_events e`, and its values, from `$1` on. */
interface Condition {
  sql: string;
  values: unknown[];
}

/** What an event is that who has no token may read of; that of a repository that is not configured any more is none. */
export async function publicEvents(
  vault: Pick<Vault, "needingCredential">,
  repositories: readonly Repository[],
): Promise<Condition> {
  const closed = new Set(await vault.needingCredential(repositories.map(({ url }) => url)));
  const open = repositories.filter(({ url }) => !closed.has(url));
  const withSecrets = repositories.filter(({ secrets }) => secrets.length > 0);
  return {
    sql: `e.repository = any($1::text[])
      and not exists (select from croft.builds b where b.event = e.id and b.is_private)
      and not exists (select from croft.later_builds l
        where l.event = e.id and jsonb_path_exists(l.submissions, '$[*].secrets[*]'))
      and (not e.trusted or e.repository <> all($2::text[])
        or exists (select from croft.builds b where b.event = e.id))`,
    values: [open, withSecrets].map((some) => some.map(({ name }) => name)),
  };
}
