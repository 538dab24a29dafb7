/** Public keys of agents in PEM files. */
import { createHash, createPublicKey, type KeyObject } from "node:crypto";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { Failure, reasonOf } from "../../os/failure.ts";

/** A public key, by a name that people gave it. */
export interface NamedKey {
  name: string;
  /** SHA-256 of the key's SubjectPublicKeyInfo in DER form. */
  fingerprint: string;
  key: KeyObject;
}

const ending = ".pem";

/**
 * Reads the RSA public keys (`*.pem`) of a directory.
 *
 * @param onBad is told of a file that is no such key; without it, one is reason enough to fail.
 * @throws {Failure} naming the file that is no RSA public key, or the directory if it has none.
 */
export function readAgentKeys(directory: string, onBad?: (failure: Failure) => void): NamedKey[] {
  let names: string[];
  try {
    names = readdirSync(directory).filter((name) => name.endsWith(ending));
  } catch (error) {
    throw new Failure(`read agent keys in '${directory}'`, reasonOf(error), { cause: error });
  }
  const keys: NamedKey[] = [];
  for (const file of names)
    try {
      const key = readKey(join(directory, file));
      keys.push({ name: file.slice(0, -ending.length), fingerprint: fingerprintOf(key), key });
    } catch (error) {
      if (!(error instanceof Failure) || !onBad) throw error;
      onBad(error);
    }
  if (names.length === 0 && !onBad)
    throw new Failure(`read agent keys in '${directory}'`, "there is no *.pem file", {
      hints: ["Make one with: openssl rsa -pubout -in agent.key -out agent.pem"],
    });
  return keys;
}

function readKey(path: string): KeyObject {
  try {
    return publicKeyIn(readFileSync(path, "utf8"));
  } catch (error) {
    throw new Failure(`read agent key '${path}'`, reasonOf(error), { cause: error });
  }
}

/** @throws {Error} saying what else it is. */
export function publicKeyIn(text: string): KeyObject {
  if (/PRIVATE KEY/.test(text))
    throw new Error("it is a private key, which belongs on the agent's host only");
  let key: KeyObject;
  try {
    key = createPublicKey(text);
  } catch (error) {
    throw new Error("it is no public key in PEM", { cause: error });
  }
  if (key.asymmetricKeyType !== "rsa") throw new Error("it is no RSA key");
  return key;
}

export function fingerprintOf(key: KeyObject): string {
  return createHash("sha256")
    .update(key.export({ type: "spki", format: "der" }))
    .digest("hex");
}
