import assert from "node:assert/strict";
import { constants, generateKeyPairSync, privateEncrypt } from "node:crypto";
import { test } from "node:test";
import { isSignatureOf } from "../../../controller/authentication/signatures.ts";

const { publicKey, privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
const other = generateKeyPairSync("rsa", { modulusLength: 2048 });

const sign = (text: string, key = privateKey) =>
  privateEncrypt({ key, padding: constants.RSA_PKCS1_PADDING }, Buffer.from(text)).toString("base64");

test("only a signature of just this challenge, by just this key, answers it", () => {
  const challenge = "croft challenge 0123456789";
  assert.equal(isSignatureOf(publicKey, challenge, sign(challenge)), true);
  const others = {
    "another of the same length": sign("croft challenge 9876543210"),
    "the beginning of it": sign(challenge.slice(0, -1)),
    "it, and more": sign(`${challenge}!`),
    "another key's": sign(challenge, other.privateKey),
    "no signature": Buffer.from(challenge).toString("base64"),
    nothing: "",
  };
  for (const [what, signature] of Object.entries(others))
    assert.equal(isSignatureOf(publicKey, challenge, signature), false, what);
});
