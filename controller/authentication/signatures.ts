/** What agents sign with their keys. */
import { constants, publicDecrypt, timingSafeEqual, type KeyObject } from "node:crypto";

/**
 * The text that a signature (base64) was made of: RSA with PKCS#1 v1.5 type 1 padding over the text itself, as
 * `openssl pkeyutl -sign` makes it without a digest.
 *
 * @returns undefined if it is no signature by the key.
 */
export function signedText(key: KeyObject, signature: string): Buffer | undefined {
  try {
    return publicDecrypt({ key, padding: constants.RSA_PKCS1_PADDING }, Buffer.from(signature, "base64"));
  } catch {
    return undefined;
  }
}

/** Whether a signature (base64) is that of the text: see {@link signedText}. */
export function isSignatureOf(key: KeyObject, text: string, signature: string): boolean {
  const recovered = signedText(key, signature);
  const expected = Buffer.from(text);
  return recovered?.length === expected.length && timingSafeEqual(recovered, expected);
}
