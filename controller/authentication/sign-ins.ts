/**
 * Sessions of browsers: a person who signs in exchanges a token for a random value in a cookie, of which the digest is
 * kept. It ends after twelve hours, by signing out, and with the token.
 */
import { randomBytes } from "node:crypto";
import type { Database } from "../database/database.ts";
import { digestOf, type Person, type Tokens } from "./tokens.ts";

/** Seconds. */
export const signInSeconds = 12 * 3600;

/** The sessions of all browsers. */
export class SignIns {
  readonly #database: Database;
  readonly #tokens: Pick<Tokens, "ofDigest">;

  constructor(database: Database, tokens: Pick<Tokens, "ofDigest">) {
    this.#database = database;
    this.#tokens = tokens;
  }

  /**
   * Begins a session; those that are over are forgotten with that.
   *
   * @returns the cookie's value; undefined if the token is not known.
   */
  async begin(token: string): Promise<string | undefined> {
    const person = await this.#tokens.ofDigest(digestOf(token));
    if (!person) return undefined;
    const value = randomBytes(32).toString("base64url");
    await this.#database.query("delete from croft.sign_ins where expires_at < now()");
    await this.#database.query(
      `insert into croft.sign_ins (digest, token_sha256, expires_at)
       values ($1, $2, now() + make_interval(secs => $3))`,
      [digestOf(value), person.sha256, signInSeconds],
    );
    return value;
  }

  /** Who has signed in with this value in the cookie, and may do still. */
  async find(value: string): Promise<Person | undefined> {
    const [row] = await this.#database.query<{ token_sha256: string }>(
      "select token_sha256 from croft.sign_ins where digest = $1 and expires_at > now()",
      [digestOf(value)],
    );
    return row && (await this.#tokens.ofDigest(row.token_sha256));
  }

  async end(value: string): Promise<void> {
    await this.#database.query("delete from croft.sign_ins where digest = $1", [digestOf(value)]);
  }
}
