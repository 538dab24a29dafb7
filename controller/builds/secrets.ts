/** What must not be read in what comes of a build: what its machines were given, and the credentials of its repository's URL. */
import { hiddenIn } from "../../manifests/own/handed-secrets.ts";
import { secretsOf } from "../../os/text/credentials.ts";
import type { Database } from "../database/database.ts";
import { printedForms } from "../secrets/printed-forms.ts";
import type { Vault } from "../secrets/vault.ts";

const kept = 1000;

/** Knows the secrets of builds. */
export class BuildSecrets {
  readonly #database: Database;
  readonly #vault: Pick<Vault, "handedTo">;
  /** Of builds that have no others. */
  readonly #known = new Map<number, readonly string[]>();

  constructor(database: Database, vault: Pick<Vault, "handedTo">) {
    this.#database = database;
    this.#vault = vault;
  }

  /** In all forms in which they may be printed, the longest first; none for most builds. */
  async of(build: number): Promise<readonly string[]> {
    const known = this.#known.get(build);
    if (known) return known;
    const [row] = await this.#database.query<{ repository: string; is_private: boolean }>(
      "select repository, is_private from croft.builds where id = $1",
      [build],
    );
    const secrets = secretsOf(row?.repository ?? "");
    // Another controller may hand out others, or those of the next attempt, while this one takes its log.
    if (row?.is_private) {
      const handed = (await this.#vault.handedTo(build)).flatMap(hiddenIn);
      return [...printedForms(handed), ...secrets];
    }
    if (this.#known.size >= kept) this.#known.clear();
    this.#known.set(build, secrets);
    return secrets;
  }
}
