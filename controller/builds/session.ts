/** A session as the database has it; sessions.ts says what one is. */

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
  fingerprint: string | null;
  challenge: string | null;
  state: SessionState;
  status: string | null;
  lease_seconds: number;
  created_at: Date;
  expires_at: Date;
  ended_at: Date | null;
  result_digest: string | null;
  /** What its host could not do, if that ended it. */
  fault: string | null;
}

/** Whether the session is the latest one of its build, and the build waits for its result. */
export function isCurrent(session: Session): boolean {
  return session.state === "active" || session.state === "expired";
}
