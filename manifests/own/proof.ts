/**
 * How an agent proves that a task request is its own: the header `Croft-Proof: TIME NONCE SIGNATURE`.
 *
 * A fingerprint is a claim: it stands in every request, and in logs. So the agent signs what it asks. The request's
 * statement is these lines, each ended by a line feed:
 *
 * ```
 * POST                                    the method, in upper case
 * https://farm.example.org/agent/task     the URL as the agent calls it: see proofUrl()
 * 1767225600                              TIME: seconds since 1970, by the agent's clock
 * Zm9vYmFyYmF6cXV4enp6eg                  NONCE: 16 to 64 characters of A-Z a-z 0-9 _ -, never used twice
 * 47DEQpj8HBSa-_TImW-5JCeuQeRkm5NM…      SHA-256 of the body, in base64url without padding (43 characters)
 * ```
 *
 * What is signed is `croft-proof ` and the SHA-256 of the statement, in base64url again: 55 bytes. They are signed like a
 * challenge's answer (RSA, PKCS#1 v1.5, block type 1, no digest of its own); `openssl pkeyutl -sign` takes 64 bytes at
 * most, whatever the key.
 * SIGNATURE is that in base64.
 *
 * Invariant: an agent signs no challenge that begins with `croft-proof `, or any controller could have it sign a proof
 * for another one.
 */

/** What a signed proof begins with. */
export const proofPrefix = "croft-proof ";

/** How far a proof's time may be from the controllers' clock, either way. */
export const proofSeconds = 120;

/** A request that is signed. */
export interface ProvenRequest {
  method: string;
  /** As the agent calls it; see {@link proofUrl}. */
  url: string;
  body: Uint8Array;
}

/** What the header says. */
export interface Proof {
  /** Seconds since 1970. */
  time: number;
  nonce: string;
  /** Base64. */
  signature: string;
}

/** The text that is signed for a request; `sha256` gives base64url without padding. */
export function proofText(
  { method, url, body }: ProvenRequest,
  { time, nonce }: Omit<Proof, "signature">,
  sha256: (data: string | Uint8Array) => string,
): string {
  const statement = [method.toUpperCase(), proofUrl(url), time, nonce, sha256(body)];
  return proofPrefix + sha256(statement.map((line) => `${line}\n`).join(""));
}

/**
 * A URL as both sides write it: in the form of the WHATWG's standard (host in lower case, no default port), without
 * user, password and fragment, which are not sent as a part of it.
 *
 * @throws {TypeError} for what is no absolute URL.
 */
function proofUrl(text: string): string {
  const url = new URL(text);
  url.username = url.password = url.hash = "";
  return url.href;
}

/** The header's value. */
export function formatProof({ time, nonce, signature }: Proof): string {
  return `${time} ${nonce} ${signature}`;
}

/** @returns undefined for what is no proof. */
export function parseProof(header: string): Proof | undefined {
  const match = /^(\d{1,12}) ([A-Za-z0-9_-]{16,64}) ([A-Za-z0-9+/]{1,4096}={0,2})$/.exec(header);
  return match ? { time: Number(match[1]), nonce: match[2]!, signature: match[3]! } : undefined;
}
