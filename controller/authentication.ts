/** Who may take tasks (agents, by key) and who may change something (people and programs, by token). */
import {
  constants,
  createHash,
  createPublicKey,
  publicDecrypt,
  timingSafeEqual,
  type KeyObject,
} from "node:crypto";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { Failure, reasonOf } from "../os/failure.ts";

/** Public keys of agents by fingerprint: the SHA-256 of the key's SubjectPublicKeyInfo in DER form. */
export type AgentKeys = ReadonlyMap<string, KeyObject>;

/**
 * Reads the RSA public keys (`*.pem`) of a directory.
 *
 * @throws {Failure} naming the file that is no RSA public key, or the directory if it has none.
 */
export function readAgentKeys(directory: string): AgentKeys {
  let names: string[];
  try {
    names = readdirSync(directory).filter((name) => name.endsWith(".pem"));
  } catch (error) {
    throw new Failure(`read agent keys in '${directory}'`, reasonOf(error), { cause: error });
  }
  const keys = new Map<string, KeyObject>();
  for (const name of names) {
    const key = readKey(join(directory, name));
    keys.set(
      createHash("sha256")
        .update(key.export({ type: "spki", format: "der" }))
        .digest("hex"),
      key,
    );
  }
  if (keys.size === 0)
    throw new Failure(`read agent keys in '${directory}'`, "there is no *.pem file", {
      hints: ["Make one with: openssl rsa -pubout -in agent.key -out agent.pem"],
    });
  return keys;
}

function readKey(path: string): KeyObject {
  try {
    const text = readFileSync(path, "utf8");
    if (/PRIVATE KEY/.test(text))
      throw new Error("it is a private key, which belongs on the agent's host only");
    const key = createPublicKey(text);
    if (key.asymmetricKeyType !== "rsa") throw new Error("it is no RSA key");
    return key;
  } catch (error) {
    throw new Failure(`read agent key '${path}'`, reasonOf(error), { cause: error });
  }
}

/**
 * Whether a signature (base64) is that of the challenge: RSA with PKCS#1 v1.5 type 1 padding over the text itself,
 * as `openssl pkeyutl -sign` makes it without a digest.
 */
export function answersChallenge(key: KeyObject, challenge: string, signature: string): boolean {
  let recovered: Buffer;
  try {
    recovered = publicDecrypt(
      { key, padding: constants.RSA_PKCS1_PADDING },
      Buffer.from(signature, "base64"),
    );
  } catch {
    return false;
  }
  const expected = Buffer.from(challenge);
  return recovered.length === expected.length && timingSafeEqual(recovered, expected);
}

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
