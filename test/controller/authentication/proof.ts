/** Agents' keys, and task requests signed with them byte by byte, as manifests/own/proof.ts says in words. */
import { constants, createHash, generateKeyPairSync, privateEncrypt, randomBytes } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { formatTaskRequest } from "../../../manifests/task-request.ts";

const sha256 = (data: string | Uint8Array, encoding: "hex" | "base64url" = "hex") =>
  createHash("sha256").update(data).digest(encoding);

/** A token's configuration and header. */
export const token = {
  configuration: `tokens: [{ name: ann, sha256: ${sha256("secret")} }]\n`,
  headers: { authorization: "Bearer secret" },
};

/** An agent's key; written to files below a directory with {@link writeKeys}. */
export interface Key {
  fingerprint: string;
  privatePem: string;
  publicPem: string;
}

export function makeKey(): Key {
  const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  return {
    fingerprint: sha256(publicKey.export({ type: "spki", format: "der" })),
    privatePem: privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
    publicPem: publicKey.export({ type: "spki", format: "pem" }).toString(),
  };
}

/** Makes the directory of the public keys that a controller knows. */
export function writeKeys(directory: string, ...keys: Key[]): string {
  const path = join(directory, "keys");
  mkdirSync(path);
  keys.forEach((key, index) => writeFileSync(join(path, `${index}.pem`), key.publicPem));
  return path;
}

export function rawSignature(key: Key, text: string): string {
  const padded = { key: key.privatePem, padding: constants.RSA_PKCS1_PADDING };
  return privateEncrypt(padded, Buffer.from(text)).toString("base64");
}

export const now = () => Math.floor(Date.now() / 1000);

/** What is signed. */
export interface Signed {
  method?: string;
  url: string;
  body: Uint8Array;
  time?: number;
  nonce?: string;
}

/** The header's value. */
export function proofOf(key: Key, { method = "POST", url, body, time = now(), nonce }: Signed): string {
  const once = nonce ?? randomBytes(16).toString("base64url");
  const digest = sha256(`${method}\n${url}\n${time}\n${once}\n${sha256(body, "base64url")}\n`, "base64url");
  return `${time} ${once} ${rawSignature(key, `croft-proof ${digest}`)}`;
}

export function taskRequest(fingerprint?: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(
    formatTaskRequest({
      agent: "host-1",
      toolchainName: "default",
      toolchainVersion: "1.0.0",
      machines: [{ id: "debian_13-1.0", name: "debian_13", summary: "Debian 13" }],
      ...(fingerprint === undefined ? {} : { fingerprint }),
    }),
  );
}

/** An answer to a task request. */
export interface TaskAnswer {
  status: number;
  text: string;
}

export async function ask(
  url: string,
  body: Uint8Array<ArrayBuffer>,
  headers: Record<string, string> = {},
): Promise<TaskAnswer> {
  const all = { "content-type": "text/manifest", ...headers };
  const response = await fetch(url, { method: "POST", headers: all, body });
  return { status: response.status, text: await response.text() };
}

export const withProof = (proof: string) => ({ "croft-agent": "1.0.0; proof", "croft-proof": proof });

/** Submits a build with the token. */
export async function submitBuild(url: string, changes: object = {}): Promise<number> {
  const response = await fetch(`${url}/api/v1/builds`, {
    method: "POST",
    headers: { ...token.headers, "content-type": "application/json" },
    body: JSON.stringify({
      name: "hello",
      repository: "https://example.org/hello.git",
      version: "1.0",
      ...changes,
    }),
  });
  if (response.status !== 201) throw new Error(`${response.status}: ${await response.text()}`);
  return ((await response.json()) as { builds: { id: number }[] }).builds[0]!.id;
}

/** What the interface says of a build, to who has the token. */
export async function stateOf(url: string, id: number): Promise<string> {
  const response = await fetch(`${url}/api/v1/builds/${id}`, { headers: token.headers });
  return ((await response.json()) as { state: string }).state;
}
