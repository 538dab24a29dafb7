/**
 * Proves to controllers which agent they talk to.
 *
 * An answer to a challenge is its RSA signature with PKCS#1 v1.5 padding of block type 1 (RFC 8017, 8.2.1) over the
 * challenge text itself, without a digest: what `openssl pkeyutl -sign` makes, and what controllers recover the text
 * from. A proof that a request is the agent's own is signed in the same way: manifests/own/proof.ts.
 */
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  privateEncrypt,
  constants,
  randomBytes,
  type KeyObject,
} from "node:crypto";
import { readFileSync } from "node:fs";
import { Failure, reasonOf } from "../../os/failure.ts";
import { formatProof, proofPrefix, proofText, type ProvenRequest } from "../../manifests/own/proof.ts";
import { openExternalSigner, type ExternalProgram } from "./external-signing.ts";

export interface Signer {
  /** SHA-256 of the public key as SubjectPublicKeyInfo in DER form: 64 lower-case hexadecimal digits. */
  readonly fingerprint: string;
  /**
   * The answer to a challenge, base64.
   *
   * @throws {Failure} if the challenge is too long for the key, or an external program fails.
   */
  sign(challenge: string, signal?: AbortSignal): Promise<string>;
  /**
   * The value of `Croft-Proof` for a request that is sent now; good for one only.
   *
   * @throws {Failure} if an external program fails.
   */
  prove(request: ProvenRequest, signal?: AbortSignal): Promise<string>;
}

/**
 * Opens the key to sign with: an RSA private key (PEM), used in process, or whatever an external program signs with.
 *
 * @throws {Failure} if the key cannot be read, is no RSA private key, or the program cannot sign with it.
 */
export async function openSigner(
  key: string,
  program?: ExternalProgram,
  signal?: AbortSignal,
): Promise<Signer> {
  if (program) {
    const signing = await openExternalSigner(key, program, signal);
    return signerOf(signing.publicKey, signing.sign);
  }
  const privateKey = readKey(key);
  const padded = { key: privateKey, padding: constants.RSA_PKCS1_PADDING };
  return signerOf(createPublicKey(privateKey), async (text) => privateEncrypt(padded, text));
}

function signerOf(
  publicKey: KeyObject,
  sign: (text: Buffer, signal?: AbortSignal) => Promise<Uint8Array>,
): Signer {
  const der = publicKey.export({ type: "spki", format: "der" });
  const roomBytes = (publicKey.asymmetricKeyDetails?.modulusLength ?? 0) / 8 - 11; // what the padding leaves
  const signed = async (what: string, text: Buffer, signal?: AbortSignal) => {
    if (text.length > roomBytes)
      throw new Failure(`sign the ${what}`, `it has ${text.length} bytes, the key has room for ${roomBytes}`);
    return Buffer.from(await sign(text, signal)).toString("base64");
  };
  return {
    fingerprint: createHash("sha256").update(der).digest("hex"),
    sign: async (challenge, signal) => {
      // Or any controller could have us sign what another one takes for our request.
      if (challenge.startsWith(proofPrefix))
        throw new Failure("sign the challenge", "it would pass for a proof to another controller");
      return await signed("challenge", Buffer.from(challenge, "utf8"), signal);
    },
    prove: async (request, signal) => {
      const unsigned = { time: Math.floor(Date.now() / 1000), nonce: randomBytes(16).toString("base64url") };
      const text = Buffer.from(proofText(request, unsigned, sha256));
      return formatProof({ ...unsigned, signature: await signed("proof", text, signal) });
    },
  };
}

function sha256(data: string | Uint8Array): string {
  return createHash("sha256").update(data).digest("base64url");
}

function readKey(file: string): KeyObject {
  const fail = (reason: string, cause?: unknown) =>
    new Failure(`use the key '${file}'`, reason, {
      cause,
      hints: ["Make one: openssl genrsa -out FILE 4096"],
    });
  let pem: string;
  try {
    pem = readFileSync(file, "latin1");
  } catch (error) {
    throw fail(reasonOf(error), error);
  }
  let key: KeyObject;
  try {
    key = createPrivateKey(pem);
  } catch (error) {
    throw fail(keyReason(pem, error), error);
  }
  if (key.asymmetricKeyType !== "rsa") throw fail(`it is no RSA key but ${key.asymmetricKeyType}`);
  return key;
}

/** In words: what the library says of a file that it cannot decode helps nobody. */
function keyReason(pem: string, error: unknown): string {
  if (/^-----BEGIN ENCRYPTED PRIVATE KEY-|^Proc-Type: 4,ENCRYPTED/m.test(pem))
    return "it is encrypted; --openssl with --openssl-option can use such a key (-passin file:PATH)";
  if (!/^-----BEGIN [A-Z ]*PRIVATE KEY-----/m.test(pem)) return "it holds no private key in PEM form";
  return reasonOf(error);
}
