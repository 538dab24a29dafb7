/** A build with everything about it, as the controller tells it; only what the client uses. */
import type { BuildAnswer, Connection } from "./connection.ts";

interface OperationAnswer {
  name: string;
  status: string;
  warnings: number;
  errors: number;
  logLines: number;
}

interface AttemptAnswer {
  attempt: number;
  agent: string;
  machine: string;
  /** Auxiliary machines by name; older controllers do not say. */
  auxiliary?: Record<string, string> | null;
  state: string;
  status: string | null;
  fault: string | null;
  seconds: number | null;
}

interface FailedTestAnswer {
  suite: string;
  name: string;
  kind: string;
  message: string;
}

/** What tests of the build said. */
interface TestsAnswer {
  tests: number;
  failures: number;
  errors: number;
  skipped: number;
  seconds: number;
  reports: { name: string; trouble: string | null }[];
  failed: FailedTestAnswer[];
}

export interface ArtifactAnswer {
  attempt: number;
  type: string;
  name: string;
  sha256: string;
  bytes: number;
}

/** In place of the number of attempts stand the attempts. */
export interface DetailsAnswer extends Omit<BuildAnswer, "attempts"> {
  repository: string;
  machine: string;
  /** Patterns of auxiliary machines by name; older controllers do not say. */
  auxiliary?: Record<string, string> | null;
  priority: number;
  submittedBy: string | null;
  /** Whether it is kept whatever its age; older controllers do not say. */
  pinned?: boolean;
  /** The build that a skipped one would have come to the same as; older controllers do not say. */
  sameAs?: number | null;
  /** In seconds, until it has ended; older controllers do not say. */
  estimate?: {
    buildSeconds: number | null;
    startSeconds: number | null;
    remainingSeconds: number | null;
  } | null;
  attempts: AttemptAnswer[];
  /** Of the attempt whose result is the build's. */
  operations: OperationAnswer[];
  /** Of reports among the artifacts; older controllers do not say. */
  tests?: TestsAnswer | null;
  artifacts: ArtifactAnswer[];
}

/** Asks for a build. @throws {Failure} if there is no such build, or no controller. */
export function getDetails(connection: Connection, id: number): Promise<DetailsAnswer> {
  return connection.get<DetailsAnswer>(`/api/v1/builds/${id}`);
}
