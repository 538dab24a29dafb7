/**
 * How requests of webhooks are signed: as https://www.standardwebhooks.com has it, for which there are libraries in most languages.
 * `webhook-id` tells deliveries apart, `webhook-timestamp` is the time of the try in seconds since 1970, and `webhook-signature` is `v1,`
 * and the base64 of the HMAC-SHA-256 over `ID.TIMESTAMP.BODY`. The key is what follows `whsec_` in base64, or the bytes of the secret
 * itself if it does not begin with that.
 */
import { createHmac } from "node:crypto";

/** The headers of a request. @param time in seconds since 1970. */
export function signatureHeaders(
  secret: string,
  id: string,
  time: number,
  body: string,
): Record<string, string> {
  const key = secret.startsWith("whsec_")
    ? Buffer.from(secret.slice("whsec_".length), "base64")
    : Buffer.from(secret);
  const signature = createHmac("sha256", key).update(`${id}.${time}.${body}`).digest("base64");
  return {
    "webhook-id": id,
    "webhook-timestamp": String(time),
    "webhook-signature": `v1,${signature}`,
  };
}
