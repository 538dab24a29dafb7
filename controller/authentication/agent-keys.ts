/** The public keys of agents: who may take tasks, and whose results count. */
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
import { Failure, reasonOf } from "../../os/failure.ts";

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
