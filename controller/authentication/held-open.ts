/**
 * Connections that stay open, such as those of whoever follows a log: each ends when what it was let in by counts no more,
 * a token that was revoked or a session that is over. One look a second for all of them, by every controller for its own.
 */
import { reasonOf } from "../../os/failure.ts";
import type { Log } from "../../os/log.ts";
import type { Database } from "../database/database.ts";
import type { Person } from "./tokens.ts";

const lookEveryMs = 1000;

interface Held {
  /** What somebody was let in by: the digest of a token, or of the value in a browser's cookie. */
  digest: string;
  end: () => void;
}

/** All of a controller's. */
export class HeldOpen {
  readonly #database: Database;
  readonly #log: Log;
  /** Tokens of the configuration stay. */
  readonly #configured: readonly string[];
  readonly #held = new Set<Held>();
  #timer: NodeJS.Timeout | undefined;
  #looking = false;

  constructor(database: Database, configured: readonly Person[], log: Log) {
    this.#database = database;
    this.#configured = configured.map(({ sha256 }) => sha256);
    this.#log = log;
  }

  /** Calls `end` when what has this digest counts no more; until the result is disposed of. */
  hold(digest: string, end: () => void): Disposable {
    const held = { digest, end };
    this.#held.add(held);
    this.#timer ??= setInterval(() => void this.#look(), lookEveryMs).unref();
    return {
      [Symbol.dispose]: () => {
        this.#held.delete(held);
        if (this.#held.size > 0) return;
        clearInterval(this.#timer);
        this.#timer = undefined;
      },
    };
  }

  async #look(): Promise<void> {
    if (this.#looking) return;
    this.#looking = true;
    try {
      const looked = [...this.#held];
      const valid = await this.#valid(looked);
      for (const held of looked) if (!valid.has(held.digest)) held.end();
    } catch (error) {
      // A database that is away for a moment is to cut off nobody.
      this.#log.warn({ reason: reasonOf(error) }, "cannot look whether those who follow builds still may");
    } finally {
      this.#looking = false;
    }
  }

  async #valid(looked: readonly Held[]): Promise<ReadonlySet<string>> {
    const digests = [...new Set(looked.map(({ digest }) => digest))];
    const rows = await this.#database.query<{ digest: string }>(
      `select sha256 as digest from croft.tokens where sha256 = any($1::text[])
       union all select digest from croft.sign_ins where digest = any($1::text[]) and expires_at > now()
         and (token_sha256 = any($2::text[]) or token_sha256 in (select sha256 from croft.tokens))`,
      [digests, this.#configured],
    );
    return new Set([...rows.map(({ digest }) => digest), ...this.#configured]);
  }
}
