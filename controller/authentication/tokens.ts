/** The tokens of people and programs: who may change something, and read where reading is not open. */
import { createHash, timingSafeEqual } from "node:crypto";

/**
 * The name of the token in an `Authorization` header: `Bearer`, or the password of `Basic`, which browsers ask for.
 *
 * @returns undefined if there is none that we know.
 */
export function tokenName(
  tokens: readonly { name: string; sha256: string }[],
  authorization: string | undefined,
): string | undefined {
  const [, scheme = "", value = ""] = /^(Bearer|Basic) +(\S+)$/i.exec(authorization ?? "") ?? [];
  if (value === "") return undefined;
  const token =
    scheme.toLowerCase() === "bearer"
      ? value
      : Buffer.from(value, "base64")
          .toString()
          .replace(/^[^:]*:/, "");
  const digest = createHash("sha256").update(token).digest();
  let found: string | undefined;
  for (const { name, sha256 } of tokens)
    if (timingSafeEqual(digest, Buffer.from(sha256, "hex"))) found ??= name;
  return found;
}
