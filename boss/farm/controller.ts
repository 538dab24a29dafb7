/** A controller, as far as a matrix is built through it: its interface for people's programs (docs/controller.md). */
import type { BuildAnswer, DetailsAnswer } from "../../controller/description/answers.ts";
import type { Connection } from "../../controller/client/connection.ts";

/** A build as a controller tells it; only what is used here. */
export type FarmBuild = Pick<BuildAnswer, "id" | "url" | "target" | "state" | "status">;

/** In place of the number of attempts stand the attempts. */
export type FarmBuildDetails = FarmBuild &
  Pick<DetailsAnswer, "waiting"> & {
    attempts: Pick<DetailsAnswer["attempts"][number], "attempt" | "agent" | "machine" | "status">[];
    operations: Pick<DetailsAnswer["operations"][number], "name" | "status" | "logUrl">[];
    artifacts: Pick<DetailsAnswer["artifacts"][number], "attempt" | "name" | "sha256" | "url">[];
  };

export class FarmController {
  readonly #connection: Connection;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  get base(): string {
    return this.#connection.base;
  }

  async targets(): Promise<string[]> {
    const { targets } = await this.#connection.get<{ targets: { name: string }[] }>("/api/v1/targets");
    return targets.map(({ name }) => name);
  }

  async submit(submission: object): Promise<FarmBuild[]> {
    return (await this.#connection.post<{ builds: FarmBuild[] }>("/api/v1/builds", submission)).builds;
  }

  /** Builds of a name, the newest first; `before` a number, if it is told. */
  async list(name: string, before?: number): Promise<{ builds: FarmBuild[]; next: number | null }> {
    const query = new URLSearchParams({ name, limit: "500" });
    if (before !== undefined) query.set("before", String(before));
    return await this.#connection.get(`/api/v1/builds?${query}`);
  }

  async details(id: number): Promise<FarmBuildDetails> {
    return await this.#connection.get(`/api/v1/builds/${id}`);
  }

  async cancel(id: number): Promise<void> {
    await this.#connection.post(`/api/v1/builds/${id}/cancel`);
  }

  /** What is at an address that the controller told, up to so many bytes of its end. */
  async text(url: string, mostBytes: number): Promise<string> {
    // It may be reached by another name than the one that it knows itself by.
    const { pathname, search } = new URL(url, this.base);
    const below = pathname.slice(pathname.indexOf("/api/v1/"));
    const bytes = await this.#connection.bytes(below + search);
    return Buffer.from(bytes.subarray(-mostBytes)).toString();
  }
}
