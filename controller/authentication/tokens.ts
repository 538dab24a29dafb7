/**
 * The tokens of people and programs: who may change something, and read where reading is not open. Some stand in the
 * configuration, others are made with `croft token create` and lie in the database; of all of them only digests are kept.
 */
import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { Failure } from "../../os/failure.ts";
import type { Database } from "../database/database.ts";

/** What a token is for, each with all that those before it may. */
export const roles = ["read", "submit", "trusted", "admin"] as const;
export type Role = (typeof roles)[number];

/** Somebody who is known by a token. */
export interface Person {
  name: string;
  role: Role;
  /** The token's digest in hexadecimal digits. */
  sha256: string;
}

/** Whether a role may do what another is for. */
export function mayAct({ role }: Pick<Person, "role">, needed: Role): boolean {
  return roles.indexOf(role) >= roles.indexOf(needed);
}

/** A token's digest. A token has more chance in it than anybody can try, so that the digest needs no salt. */
export function digestOf(token: string): string {
  return createHash("sha256").update(token).digest("hex");
}

/**
 * The token in an `Authorization` header: `Bearer`, or the password of `Basic`, which browsers ask for.
 *
 * @returns undefined if there is none.
 */
function tokenIn(authorization: string | undefined): string | undefined {
  const [, scheme = "", value = ""] = /^(Bearer|Basic) +(\S+)$/i.exec(authorization ?? "") ?? [];
  if (value === "") return undefined;
  if (scheme.toLowerCase() === "bearer") return value;
  return Buffer.from(value, "base64")
    .toString()
    .replace(/^[^:]*:/, "");
}

/** The tokens of a controller. What is made or revoked counts at once, for all controllers of the database. */
export class Tokens {
  readonly #database: Database;
  readonly #configured: readonly Person[];

  constructor(database: Database, configured: readonly Person[]) {
    this.#database = database;
    this.#configured = configured;
  }

  /** Whose token is in an `Authorization` header; undefined if there is none that is known. */
  async find(authorization: string | undefined): Promise<Person | undefined> {
    const token = tokenIn(authorization);
    return token === undefined ? undefined : await this.ofDigest(digestOf(token));
  }

  /** Whose token has this digest. */
  async ofDigest(sha256: string): Promise<Person | undefined> {
    const wanted = Buffer.from(sha256, "hex");
    const configured = this.#configured.filter((one) =>
      timingSafeEqual(wanted, Buffer.from(one.sha256, "hex")),
    );
    if (configured.length > 0) return configured[0];
    const [found] = await this.#database.query<Person>(
      "select name, role, sha256 from croft.tokens where sha256 = $1",
      [sha256],
    );
    return found;
  }

  /** Whether there are any: without, whoever reaches the controller may submit builds. */
  async any(): Promise<boolean> {
    if (this.#configured.length > 0) return true;
    const [row] = await this.#database.query<{ any: boolean }>(
      "select exists (select from croft.tokens) as any",
    );
    return row!.any;
  }

  /**
   * Makes one.
   *
   * @returns the token, which nobody can look up later.
   * @throws {Failure} if there is one of this name.
   */
  async create(name: string, role: Role): Promise<string> {
    const token = `croft_${randomBytes(24).toString("base64url")}`;
    const made = this.#configured.some((one) => one.name === name)
      ? []
      : await this.#database.query(
          `insert into croft.tokens (name, role, sha256) values ($1, $2, $3) on conflict (name) do nothing
           returning name`,
          [name, role, digestOf(token)],
        );
    if (made.length === 0) throw new Failure(`create token '${name}'`, "there is one of this name");
    return token;
  }

  /** All of them, by name; those of the configuration were made at no known time. */
  async list(): Promise<{ name: string; role: Role; createdAt: Date | null }[]> {
    const made = await this.#database.query<{ name: string; role: Role; createdAt: Date }>(
      `select name, role, created_at as "createdAt" from croft.tokens`,
    );
    const configured = this.#configured.map(({ name, role }) => ({ name, role, createdAt: null }));
    return [...configured, ...made].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /**
   * Makes a token unknown, and ends the sessions of browsers that signed in with it.
   *
   * @throws {Failure} if there is none, or it stands in the configuration.
   */
  async revoke(name: string): Promise<void> {
    const gone = await this.#database.query("delete from croft.tokens where name = $1 returning name", [
      name,
    ]);
    if (gone.length > 0) return;
    const isConfigured = this.#configured.some((one) => one.name === name);
    throw new Failure(
      `revoke token '${name}'`,
      isConfigured ? "it stands in the controller's configuration" : "there is none of this name",
      isConfigured ? { hints: ["Take it out there, and restart the controller."] } : {},
    );
  }
}
