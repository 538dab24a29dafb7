/** Whether a request is from who knows a secret. */
import { createHash, createHmac, timingSafeEqual } from "node:crypto";

/** HMAC with SHA-256 over the bytes that came, in hexadecimal digits; in the same time, right or wrong. */
export function isSigned(body: Uint8Array, secret: string, signature: string | undefined): boolean {
  if (signature === undefined || !/^[0-9a-f]{64}$/i.test(signature)) return false;
  return timingSafeEqual(createHmac("sha256", secret).update(body).digest(), Buffer.from(signature, "hex"));
}

/** Whether two texts are the same, in a time that tells nothing of either, nor of its length. */
export function isSame(given: string | undefined, wanted: string): boolean {
  const digest = (value: string) => createHash("sha256").update(value).digest();
  return timingSafeEqual(digest(given ?? ""), digest(wanted)) && given !== undefined;
}
