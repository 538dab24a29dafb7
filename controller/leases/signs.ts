/** Signs of life of agents, on their way into the database. */
import type { SessionPhase, SessionSign } from "../../manifests/own/signs.ts";
import type { Session } from "../builds/session.ts";
import type { Sql } from "../database/database.ts";

/** So long a lease lasts after a sign; agents give one every 15 seconds or so. */
export const leaseSeconds = 60;
/** So long a result is waited for that its agent has. */
const deliverySeconds = 3600;

/**
 * Writes signs down.
 *
 * @param marginSeconds how long a decision may take beyond the build's timeout after its last sign
 */
export async function writeSigns(
  sql: Sql,
  signs: readonly SessionSign[],
  marginSeconds: number,
): Promise<void> {
  // While its machine builds, signs do not prolong what a build may take.
  const kept: Record<SessionPhase, number> = {
    building: 0,
    deciding: marginSeconds,
    delivering: deliverySeconds,
  };
  await sql.query(
    `update croft.sessions s set
       signs_until = greatest(s.signs_until, now() + given.seconds * interval '1 second'),
       expires_at = greatest(s.expires_at, now() + given.kept * interval '1 second')
     from (select unnest($1::text[]) as token, unnest($2::integer[]) as seconds, unnest($3::integer[]) as kept) as given
     where s.token = given.token and s.state = 'active'`,
    [
      signs.map(({ session }) => session),
      signs.map(({ phase }) => (phase === "delivering" ? deliverySeconds : leaseSeconds)),
      signs.map(({ phase }) => kept[phase]),
    ],
  );
}

/** A session whose lease is over, and whose agent shows that it holds it. */
export interface LostSession {
  session: Session;
  phase: SessionPhase;
}

/**
 * Those among sessions whose builds wait in the queue again, though their agents have them: it was silence that ended their
 * leases. One whose machine has built for longer than it may has lost its build for good.
 */
export async function lostSessions(sql: Sql, signs: readonly SessionSign[]): Promise<LostSession[]> {
  const phases = new Map(signs.map(({ session, phase }) => [session, phase]));
  const found = await sql.query<Session & { is_late: boolean }>(
    `select s.*, s.expires_at <= now() as is_late from croft.sessions s join croft.builds b on b.id = s.build
     where s.token = any($1::text[]) and s.state = 'expired' and b.state = 'queued'`,
    [[...phases.keys()]],
  );
  return found.flatMap(({ is_late, ...session }) => {
    const phase = phases.get(session.token)!;
    return is_late && phase === "building" ? [] : [{ session, phase }];
  });
}
