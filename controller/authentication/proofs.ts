/**
 * Whether a task request comes from the holder of a key, and not from somebody who knows its fingerprint.
 * What is signed, and how: manifests/own/proof.ts.
 *
 * Each nonce counts once, with whatever controller on the database: it is a row, kept for longer than its proof is
 * valid. One clock decides about time, the database's, or a controller whose clock is late would take what the others
 * have forgotten. A row is only made for a good signature, so strangers fill nothing.
 */
import { createHash, type KeyObject } from "node:crypto";
import { parseProof, proofPrefix, proofSeconds, proofText } from "../../manifests/own/proof.ts";
import type { Database } from "../database/database.ts";
import { signedText } from "./signatures.ts";

/** Twice the time that a proof is valid after its own: a statement may wait between looking and writing. */
const keptSeconds = 2 * proofSeconds;
const pruneEveryMs = 60_000;

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

/** Checks proofs, and remembers them. */
export class AgentProofs {
  readonly #database: Database;
  #pruneAt = 0;

  constructor(database: Database) {
    this.#database = database;
  }

  /**
   * Takes the proof of a request.
   *
   * @returns why it is none; undefined if it is one.
   */
  async refusal(
    { fingerprint, key }: KnownKey,
    header: string | undefined,
    { method, urls, body }: CheckedRequest,
  ): Promise<string | undefined> {
    if (header === undefined) return "the request is not signed with the agent's key (Croft-Proof)";
    const proof = parseProof(header);
    if (!proof) return "the header Croft-Proof is not TIME NONCE SIGNATURE";
    const signed = signedText(key, proof.signature)?.toString("latin1");
    if (!signed?.startsWith(proofPrefix)) return "the proof is not signed with the key of the fingerprint";
    if (!urls.some((url) => signed === proofText({ method, url, body }, proof, sha256)))
      return `the proof is not of this request: the agent has to ask ${urls[0]}, and nothing on the way may change what it sends`;
    const { now, first } = await this.#take(fingerprint, proof.nonce, proof.time);
    const aheadSeconds = Math.round(proof.time - now);
    if (Math.abs(proof.time - now) > proofSeconds)
      return `the proof is of another time: the agent's clock is ${Math.abs(aheadSeconds)} s ${aheadSeconds > 0 ? "ahead" : "behind"}, or the request was held up`;
    if (!first) return "the proof was used before";
    await this.#prune();
    return undefined;
  }

  /** Whether the nonce is a first one; it is then used. Nothing is kept of a proof of another time. */
  async #take(fingerprint: string, nonce: string, time: number): Promise<{ now: number; first: boolean }> {
    const [row] = await this.#database.query<{ now: number; first: boolean }>(
      `with clock as (select extract(epoch from clock_timestamp())::double precision as now),
         taken as (
           insert into croft.proofs (fingerprint, nonce, time)
           select $1::text, $2::text, $3::double precision from clock
           where abs(now - $3::double precision) <= ${proofSeconds}
           on conflict do nothing returning nonce)
       select now, exists (select from taken) as first from clock`,
      [fingerprint, nonce, time],
    );
    return row!;
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
