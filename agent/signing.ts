import {
  createHash,
  createPrivateKey,
  createPublicKey,
  privateEncrypt,
  constants,
  type KeyObject,
} from "node:crypto";
import { readFileSync } from "node:fs";
import { Failure, reasonOf } from "../host/failure.ts";

/** Proves to controllers which agent they talk to. */
export interface Signer {
  /** SHA-256 of the public key as SubjectPublicKeyInfo in DER form: 64 lower-case hexadecimal digits. */
  readonly fingerprint: string;
  /** The answer to a challenge, base64. */
  sign(challenge: string): string;
}

/**
 * Reads an RSA private key (PEM).
 *
 * Signatures are PKCS#1 v1.5 block type 1 over the challenge text itself, without a digest: what
 * `openssl pkeyutl -sign` makes without `-pkeyopt digest`, and controllers recover the text from.
 *
 * @throws {Failure} if the file cannot be read or holds no RSA private key.
 */
export function openSigner(file: string): Signer {
  const key = readKey(file);
  const der = createPublicKey(key).export({ type: "spki", format: "der" });
  return {
    fingerprint: createHash("sha256").update(der).digest("hex"),
    sign: (challenge) => signText(key, challenge),
  };
}

function readKey(file: string): KeyObject {
  let key: KeyObject;
  try {
    key = createPrivateKey(readFileSync(file));
  } catch (error) {
    throw new Failure(`use the key '${file}'`, reasonOf(error), {
      cause: error,
      hints: ["Make one: openssl genrsa -out FILE 4096"],
    });
  }
  if (key.asymmetricKeyType !== "rsa")
    throw new Failure(`use the key '${file}'`, `it is no RSA key but ${key.asymmetricKeyType}`);
  return key;
}

function signText(key: KeyObject, challenge: string): string {
  const text = Buffer.from(challenge, "utf8");
  const roomBytes = (key.asymmetricKeyDetails?.modulusLength ?? 0) / 8 - 11; // PKCS#1 v1.5 padding takes 11 bytes
  if (text.length > roomBytes)
    throw new Failure("sign the challenge", `it has ${text.length} bytes, the key has room for ${roomBytes}`);
  return privateEncrypt({ key, padding: constants.RSA_PKCS1_PADDING }, text).toString("base64");
}
