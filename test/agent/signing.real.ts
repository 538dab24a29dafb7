import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { openSigner } from "../../agent/signing.ts";
import { temporaryDirectory } from "../../host/temporary.ts";

const openssl = (...args: string[]) => execFileSync("openssl", args, { stdio: ["ignore", "pipe", "pipe"] });

test("an answer is what openssl signs, and what openssl recovers the challenge from", async () => {
  await using directory = await temporaryDirectory("croft-test-");
  const at = (name: string) => join(directory.path, name);
  openssl("genrsa", "-out", at("key.pem"), "2048");
  openssl("rsa", "-in", at("key.pem"), "-pubout", "-out", at("public.pem"));
  const challenge = "c9a7 the challenge, as text";
  writeFileSync(at("challenge"), challenge);
  const signature = Buffer.from(openSigner(at("key.pem")).sign(challenge), "base64");
  openssl("pkeyutl", "-sign", "-inkey", at("key.pem"), "-in", at("challenge"), "-out", at("theirs"));
  assert.deepEqual(signature, readFileSync(at("theirs")));
  writeFileSync(at("ours"), signature);
  assert.equal(
    openssl("pkeyutl", "-verifyrecover", "-pubin", "-inkey", at("public.pem"), "-in", at("ours")).toString(),
    challenge,
  );
  assert.throws(
    () => openSigner(at("key.pem")).sign("x".repeat(246)),
    /it has 246 bytes, the key has room for 245/,
  );
});

test("the fingerprint is the SHA-256 of the public key in DER form", async () => {
  await using directory = await temporaryDirectory("croft-test-");
  const key = join(directory.path, "key.pem");
  const der = join(directory.path, "public.der");
  openssl("genrsa", "-out", key, "2048");
  openssl("rsa", "-in", key, "-pubout", "-outform", "DER", "-out", der);
  assert.equal(openSigner(key).fingerprint, openssl("dgst", "-sha256", "-r", der).toString().split(" ")[0]);
});

test("a key that is missing, no key, or no RSA key is one clear error", async () => {
  await using directory = await temporaryDirectory("croft-test-");
  const at = (name: string) => join(directory.path, name);
  writeFileSync(at("text"), "hello\n");
  openssl("genpkey", "-algorithm", "ed25519", "-out", at("ed25519"));
  assert.throws(
    () => openSigner(at("none")),
    /^Failure: Cannot use the key '.*none': no such file or directory$/,
  );
  assert.throws(() => openSigner(at("text")), /^Failure: Cannot use the key '.*text'/);
  assert.throws(() => openSigner(at("ed25519")), /it is no RSA key but ed25519/);
});
