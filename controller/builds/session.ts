/** A session as the database has it; sessions.ts says what one is. */
import type { Sql } from "../database/database.ts";

type SessionState = "active" | "finished" | "expired" | "superseded" | "cancelled";

/** A row of the sessions table. */
export interface Session {
  id: number;
  token: string;
  build: number;
  attempt: number;
  agent: string;
  toolchain: string;
  machine: string;
  /** The machine's revision; absent or null: not known. */
  machine_id?: string | null;
  toolchain_version?: string | null;
  /** Whether it was going on in a backup: what has reached the controller since then is lost. */
  restored?: boolean;
  /** Auxiliary machines by what the build calls them; absent or null: it has none. */
  auxiliary?: Record<string, string> | null;
  fingerprint: string | null;
  challenge: string | null;
  state: SessionState;
  status: string | null;
  lease_seconds: number;
  created_at: Date;
  expires_at: Date;
  /** When the lease ends unless a sign of life comes before; null if the agent gives none. */
  signs_until: Date | null;
  ended_at: Date | null;
  result_digest: string | null;
  /** What its host could not do, if that ended it. */
  fault: string | null;
}

/** Whether the build may still take its result from the session. */
export function isCurrent(session: Session): boolean {
  return session.state === "active" || session.state === "expired";
}

/** Tells all other sessions of a build that has ended by one of them that nobody waits for them. */
export async function supersedeOthers(sql: Sql, { id, build }: Pick<Session, "id" | "build">): Promise<void> {
  await sql.query(
    `update croft.sessions set state = 'superseded', ended_at = coalesce(ended_at, now())
     where build = $1 and id <> $2 and state in ('active', 'expired')`,
    [build, id],
  );
}
