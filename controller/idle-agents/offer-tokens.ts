/**
 * Tokens that stand for what an agent offers, so that one that waits need not say it again and again. The offers are kept
 * in the database: an agent may wait at any of the controllers that share it. Equal offers are one row.
 */
import { createHash, randomBytes } from "node:crypto";
import type { Database } from "../database/database.ts";
import type { AnonymousOffer, Offer } from "../builds/offer.ts";

/** What each key or address may have kept. */
const most = { offers: 10_000, bytes: 64 * 1024 * 1024 };
const mostBytesOfOne = 4 * 1024 * 1024;
/** How often the use of a token is written down, and after how long without use it goes. */
const noteEveryMs = 3_600_000;
const keptHours = 24;
const mostRemembered = 10_000;
/** Offers that are kept in memory, too: waiting agents say their tokens 40 times a second where there are a thousand. */
const mostKnown = { offers: 2000, bytes: 16 * 1024 };

export class OfferTokens {
  readonly #database: Database;
  readonly #now: () => number;
  /** By digest: tokens that were written down of late. */
  readonly #noted = new Map<string, { token: string; atMs: number }>();
  /** By token. */
  readonly #known = new Map<string, { offer: AnonymousOffer; untilMs: number }>();
  #clearedAtMs = -Infinity;

  /** @param now a clock that is never set, in milliseconds */
  constructor(database: Database, now: () => number = () => performance.now()) {
    this.#database = database;
    this.#now = now;
  }

  /**
   * The token for an offer.
   *
   * @param owner the key or address that makes it
   * @returns undefined if the owner has as many kept as may be: the agent has to ask instead.
   */
  async tokenFor({ agent: _, ...offer }: Offer, owner: string): Promise<string | undefined> {
    const text = JSON.stringify(offer);
    if (text.length > mostBytesOfOne) return undefined;
    const digest = createHash("sha256").update(text).digest("hex");
    const noted = this.#noted.get(digest);
    if (noted && this.#now() - noted.atMs < noteEveryMs) return noted.token;
    const token = await this.#write(digest, text, owner);
    if (token === undefined) return undefined;
    if (this.#noted.size >= mostRemembered) this.#noted.clear();
    this.#noted.set(digest, { token, atMs: this.#now() });
    return token;
  }

  /** The offer that a token stands for; undefined for one that is not known, or not any more. */
  async find(token: string): Promise<AnonymousOffer | undefined> {
    if (!/^[A-Za-z0-9_-]{1,64}$/.test(token)) return undefined;
    const known = this.#known.get(token);
    if (known && this.#now() < known.untilMs) return known.offer;
    const [row] = await this.#database.query<{ offer: AnonymousOffer; bytes: number }>(
      "select offer, bytes from croft.offers where token = $1",
      [token],
    );
    if (!row) return undefined;
    const { offer, bytes } = row;
    if (this.#known.size >= mostKnown.offers) this.#known.clear();
    if (bytes <= mostKnown.bytes) this.#known.set(token, { offer, untilMs: this.#now() + noteEveryMs });
    return offer;
  }

  async #write(digest: string, text: string, owner: string): Promise<string | undefined> {
    await this.#clear();
    const [known] = await this.#database.query<{ token: string }>(
      "update croft.offers set used_at = now() where digest = $1 returning token",
      [digest],
    );
    if (known) return known.token;
    // As a text: the same in the database as what was measured here.
    const [made] = await this.#database.query<{ token: string }>(
      `insert into croft.offers (token, digest, offer, owner, bytes)
       select $1, $2, $3::jsonb, $4, $5::integer from (
         select count(*) as offers, coalesce(sum(bytes), 0) as bytes from croft.offers where owner = $4
       ) as kept where kept.offers < $6::bigint and kept.bytes + $5::integer <= $7::bigint
       on conflict (digest) do update set used_at = now() returning token`,
      [
        randomBytes(24).toString("base64url"),
        digest,
        text,
        owner,
        Buffer.byteLength(text),
        most.offers,
        most.bytes,
      ],
    );
    return made?.token;
  }

  /** Removes what nobody uses any more. */
  async #clear(): Promise<void> {
    if (this.#now() - this.#clearedAtMs < noteEveryMs) return;
    this.#clearedAtMs = this.#now();
    await this.#database.query(
      "delete from croft.offers where used_at < now() - $1::integer * interval '1 hour'",
      [keptHours],
    );
  }
}
