/** A build with everything about it, as the controller tells it; only what the client uses. */
import type * as Answers from "../description/answers.ts";
import type { BuildAnswer, Connection } from "./connection.ts";

export type ArtifactAnswer = Omit<Answers.DetailsAnswer["artifacts"][number], "url">;

type Told = Answers.DetailsAnswer;

/** In place of the number of attempts stand the attempts. What older controllers do not say may be missing. */
export type DetailsAnswer = Omit<BuildAnswer, "attempts" | "waiting"> &
  Pick<Told, "repository" | "machine" | "priority" | "submittedBy"> &
  Partial<Pick<Told, "auxiliary" | "pinned" | "sameAs" | "tests" | "variables" | "waiting">> & {
    attempts: (Omit<
      Told["attempts"][number],
      "auxiliary" | "toolchain" | "startedAt" | "endedAt" | "operations"
    > &
      Partial<Pick<Told["attempts"][number], "auxiliary">>)[];
    /** Of the attempt whose result is the build's. */
    operations: Pick<Told["operations"][number], "name" | "status" | "warnings" | "errors" | "logLines">[];
    artifacts: ArtifactAnswer[];
  };

/** Asks for a build. @throws {Failure} if there is no such build, or no controller. */
export function getDetails(connection: Connection, id: number): Promise<DetailsAnswer> {
  return connection.get<DetailsAnswer>(`/api/v1/builds/${id}`);
}
