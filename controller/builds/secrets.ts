/** What must not be read in the logs of a build: the credentials of its repository's URL. */
import { secretsOf } from "../../os/text/credentials.ts";
import type { Database } from "../database/database.ts";

const kept = 1000;

/** Knows the secrets of builds. */
export class BuildSecrets {
  readonly #database: Database;
  readonly #known = new Map<number, readonly string[]>();

  constructor(database: Database) {
    this.#database = database;
  }

  /** The longest first; none for most builds. */
  async of(build: number): Promise<readonly string[]> {
    const known = this.#known.get(build);
    if (known) return known;
    const [row] = await this.#database.query<{ repository: string }>(
      "select repository from croft.builds where id = $1",
      [build],
    );
    const secrets = secretsOf(row?.repository ?? "");
    if (this.#known.size >= kept) this.#known.clear();
    this.#known.set(build, secrets);
    return secrets;
  }
}
