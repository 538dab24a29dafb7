/**
 * Whether a task request comes from the holder of a key, and not from somebody who knows its fingerprint.
 * What is signed, and how: manifests/own/proof.ts.
 *
 * Each nonce counts once, with whatever controller on the database: it is a row, kept for longer than its proof is
 * valid. One clock decides about time, the database's, or a controller whose clock is late would take what the others
 * have forgotten. A row is only made for a good signature, so strangers fill nothing.
 *
 * Each request waits until its row is there, also one that will be given nothing: whoever has seen it could otherwise bring it
 * to another controller in the moment in which there is something. But agents that wait to be woken ask once a minute all the
 * same, and are in no hurry then: their rows are written together, and so are those of all that come while a
 * statement runs.
 */
import { createHash, type KeyObject } from "node:crypto";
import { parseProof, proofPrefix, proofSeconds, proofText } from "../../manifests/own/proof.ts";
import type { Database } from "../database/database.ts";
import { signedText } from "./signatures.ts";

/** Twice the time that a proof is valid after its own: a statement may wait between looking and writing. */
const keptSeconds = 2 * proofSeconds;
const pruneEveryMs = 60_000;
/** How long requests wait for others that nobody is in a hurry with either. */
const gatherMs = 250;

/** An agent's public key, and what it is known by. */
export interface KnownKey {
  fingerprint: string;
  key: KeyObject;
}

/** A request as it came. */
export interface CheckedRequest {
  method: string;
  /** What the agent may have called to reach it. */
  urls: readonly string[];
  body: Uint8Array;
}

/** A nonce that is about to be used. */
interface Waiting {
  fingerprint: string;
  nonce: string;
  time: number;
  settle: (taken: Taken | Promise<never>) => void;
}

/** `first`: the nonce was not used before; `now`: by the database's clock. */
interface Taken {
  now: number;
  first: boolean;
}

/** Checks proofs, and remembers them. */
export class AgentProofs {
  readonly #database: Database;
  readonly #gatherMs: number;
  #pruneAt = 0;
  #waiting: Waiting[] = [];
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> | undefined;

  constructor(database: Database, options: { gatherMs?: number } = {}) {
    this.#database = database;
    this.#gatherMs = options.gatherMs ?? gatherMs;
  }

  /**
   * Takes the proof of a request.
   *
   * @param isUrgent whether it is not to wait for others.
   * @returns why it is none; undefined if it is one.
   */
  async refusal(
    { fingerprint, key }: KnownKey,
    header: string | undefined,
    { method, urls, body }: CheckedRequest,
    isUrgent = true,
  ): Promise<string | undefined> {
    if (header === undefined) return "the request is not signed with the agent's key (Croft-Proof)";
    const proof = parseProof(header);
    if (!proof) return "the header Croft-Proof is not TIME NONCE SIGNATURE";
    const signed = signedText(key, proof.signature)?.toString("latin1");
    if (!signed?.startsWith(proofPrefix)) return "the proof is not signed with the key of the fingerprint";
    if (!urls.some((url) => signed === proofText({ method, url, body }, proof, sha256)))
      return `the proof is not of this request: the agent has to ask ${urls[0]}, and nothing on the way may change what it sends`;
    const { now, first } = await this.#take(fingerprint, proof, isUrgent);
    const aheadSeconds = Math.round(proof.time - now);
    if (Math.abs(proof.time - now) > proofSeconds)
      return `the proof is of another time: the agent's clock is ${Math.abs(aheadSeconds)} s ${aheadSeconds > 0 ? "ahead" : "behind"}, or the request was held up`;
    if (!first) return "the proof was used before";
    await this.#prune();
    return undefined;
  }

  /** Whether the nonce is a first one; it is then used. Nothing is kept of a proof of another time. */
  async #take(
    fingerprint: string,
    { nonce, time }: Pick<Waiting, "nonce" | "time">,
    isUrgent: boolean,
  ): Promise<Taken> {
    const taken = Promise.withResolvers<Taken>();
    this.#waiting.push({ fingerprint, nonce, time, settle: taken.resolve });
    if (isUrgent) this.#write();
    else this.#timer ??= setTimeout(() => this.#write(), this.#gatherMs);
    return await taken.promise;
  }

  /** Writes all that waits, once the statement before has ended. */
  #write(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#writing ??= this.#writeAll().finally(() => (this.#writing = undefined));
  }

  async #writeAll(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = this.#waiting;
      this.#waiting = [];
      try {
        const { now, taken } = await this.#insert(batch);
        // Of two that came together, one is the first.
        for (const { fingerprint, nonce, settle } of batch)
          settle({ now, first: taken.delete(`${fingerprint} ${nonce}`) });
      } catch (error) {
        for (const { settle } of batch) settle(Promise.reject(error as Error));
      }
    }
  }

  async #insert(batch: readonly Waiting[]): Promise<{ now: number; taken: Set<string> }> {
    const [row] = await this.#database.query<{ now: number; taken: string[] | null }>(
      `with clock as (select extract(epoch from clock_timestamp())::double precision as now),
         taken as (
           insert into croft.proofs (fingerprint, nonce, time)
           select asked.fingerprint, asked.nonce, asked.time
             from unnest($1::text[], $2::text[], $3::double precision[]) as asked (fingerprint, nonce, time), clock
           where abs(now - asked.time) <= ${proofSeconds}
           on conflict do nothing returning fingerprint || ' ' || nonce as name)
       select now, (select array_agg(name) from taken) as taken from clock`,
      [
        batch.map(({ fingerprint }) => fingerprint),
        batch.map(({ nonce }) => nonce),
        batch.map(({ time }) => time),
      ],
    );
    return { now: row!.now, taken: new Set(row!.taken) };
  }

  async #prune(): Promise<void> {
    if (performance.now() < this.#pruneAt) return;
    this.#pruneAt = performance.now() + pruneEveryMs;
    await this.#database.query(
      "delete from croft.proofs where time < extract(epoch from clock_timestamp()) - $1::integer",
      [keptSeconds],
    );
  }
}

function sha256(data: string | Uint8Array): string {
  return createHash("sha256").update(data).digest("base64url");
}
