import assert from "node:assert/strict";
import { createHash, generateKeyPairSync } from "node:crypto";
import { chmodSync, existsSync, globSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { keyChecks } from "../../../agent/doctor/keys.ts";
import { makeSettings } from "../settings/make-settings.ts";
import { openSigner } from "../../../agent/wire/signing.ts";
import { Failure } from "../../../os/failure.ts";
import { run } from "../../../os/run.ts";
import { temporaryDirectory, type TemporaryDirectory } from "../../../os/files/temporary.ts";
import { until } from "../../controller/until.ts";

const challenge = "c9a7 the challenge, as text: ü";
let directory: TemporaryDirectory;
const at = (name: string) => join(directory.path, name);
const openssl = async (args: string[], input: string | Uint8Array = "") =>
  (await run(["openssl", ...args], { timeoutSeconds: 300, input })).stdoutBytes;

/** A program that is started as openssl would be; `$real` is the real one. */
function program(name: string, script: string): string {
  writeFileSync(at(name), `#!/bin/sh\nreal=openssl\necho "$@" >>${at(`${name}.calls`)}\n${script}\n`);
  chmodSync(at(name), 0o755);
  return at(name);
}

/** Says that it is 1.1.1, and has only what that has. */
const oldOpenssl = () =>
  program(
    "openssl-1.1",
    'case $1 in version) echo "OpenSSL 1.1.1w  11 Sep 2023";; rsa | rsautl) exec $real "$@";; *) exit 9;; esac',
  );

before(async () => {
  directory = await temporaryDirectory("croft-test-");
  await openssl(["genrsa", "-out", at("key.pem"), "2048"]);
  await openssl(["rsa", "-in", at("key.pem"), "-pubout", "-out", at("public.pem")]);
  await openssl(["genpkey", "-algorithm", "ed25519", "-out", at("ed25519.pem")]);
  const encrypted = ["-aes256", "-passout", "pass:sesame", "-in", at("key.pem"), "-out"];
  await openssl(["rsa", ...encrypted, at("encrypted.pem")]);
  writeFileSync(at("text"), "hello\n");
  writeFileSync(at("passphrase"), "sesame\n");
});
after(() => directory[Symbol.asyncDispose]());

const openssl3 = () => ({ program: "openssl", options: [] });
for (const [how, external, key] of [
  ["in process", () => undefined, "key.pem"],
  ["by openssl", openssl3, "key.pem"],
  ["by an openssl before 3.0", () => ({ program: oldOpenssl(), options: [] }), "key.pem"],
  [
    "by openssl with options for an encrypted key",
    () => ({
      program: "openssl",
      options: [
        "-passin",
        `file:${at("passphrase")}`,
        "-keyform",
        "PEM",
        "-pkeyopt",
        "rsa_padding_mode:pkcs1",
      ],
    }),
    "encrypted.pem",
  ],
] as const)
  test(`an answer made ${how} is what openssl signs, and what openssl recovers the challenge from`, async () => {
    const signer = await openSigner(at(key), external());
    const signature = Buffer.from(await signer.sign(challenge), "base64");
    const theirs = await openssl(["pkeyutl", "-sign", "-inkey", at("key.pem")], challenge);
    assert.deepEqual(signature, Buffer.from(theirs));
    const recover = ["pkeyutl", "-verifyrecover", "-pubin", "-inkey", at("public.pem")];
    assert.equal(Buffer.from(await openssl(recover, signature)).toString(), challenge);
    const proof = await signer.prove({ method: "POST", url: "http://farm.example/", body: Buffer.from("x") });
    const proven = Buffer.from(
      await openssl(recover, Buffer.from(proof.split(" ")[2]!, "base64")),
    ).toString();
    assert.match(proven, /^croft-proof [\w-]{43}$/);
    const der = await openssl(["rsa", "-in", at("key.pem"), "-pubout", "-outform", "DER"]);
    const digest = Buffer.from(await openssl(["dgst", "-sha256", "-r"], der)).toString();
    assert.equal(signer.fingerprint, digest.split(" ")[0]);
    await assert.rejects(signer.sign("x".repeat(246)), /it has 246 bytes, the key has room for 245/);
  });

test("an openssl before 3.0 is called with rsautl and rsa, a newer one with pkeyutl and pkey", async () => {
  const version = 'if [ "$1" = version ]; then echo "OpenSSL 4.1.0 1 Apr 2027"; else exec $real "$@"; fi';
  const newer = program("openssl-4", version);
  await openSigner(at("key.pem"), { program: newer, options: [] });
  await openSigner(at("key.pem"), { program: oldOpenssl(), options: [] });
  const commands = (name: string) =>
    readFileSync(at(`${name}.calls`), "utf8")
      .trim()
      .split("\n")
      .slice(-3)
      .map((line) => line.split(" ")[0]);
  assert.deepEqual(commands("openssl-4"), ["version", "pkey", "pkeyutl"]);
  assert.deepEqual(commands("openssl-1.1"), ["version", "rsa", "rsautl"]);
});

describe("a key in a token", () => {
  before(async () => {
    mkdirSync(at("tokens"));
    writeFileSync(at("softhsm.conf"), `directories.tokendir = ${at("tokens")}\nlog.level = ERROR\n`);
    await openssl(["pkcs8", "-topk8", "-nocrypt", "-in", at("key.pem"), "-out", at("pkcs8.pem")]);
    process.env["SOFTHSM2_CONF"] = at("softhsm.conf");
    process.env["PKCS11_MODULE_PATH"] = globSync("/usr/lib/{,*/}softhsm/libsofthsm2.so")[0]!;
    const pins = ["--pin", "5678", "--so-pin", "1234"];
    const soft = (...args: string[]) => run(["softhsm2-util", ...args], { timeoutSeconds: 300 });
    await soft("--init-token", "--free", "--label", "croft", ...pins);
    const what = ["--token", "croft", "--label", "agent", "--id", "a1"];
    await soft("--import", at("pkcs8.pem"), ...what, "--pin", "5678");
  });
  const uri = (pin: string) => `pkcs11:token=croft;object=agent;pin-value=${pin}`;
  const engine = { program: "openssl", options: ["-engine", "pkcs11", "-keyform", "engine"] };

  test("signs as the same key in a file does", async () => {
    const inToken = await openSigner(uri("5678"), engine);
    const inFile = await openSigner(at("key.pem"));
    assert.equal(inToken.fingerprint, inFile.fingerprint);
    assert.equal(await inToken.sign(challenge), await inFile.sign(challenge));
    const request = { method: "POST", url: "http://farm.example/", body: Buffer.from("x") };
    const [, , signature] = (await inToken.prove(request)).split(" ");
    const recover = ["pkeyutl", "-verifyrecover", "-pubin", "-inkey", at("public.pem")];
    assert.match(
      Buffer.from(await openssl(recover, Buffer.from(signature!, "base64"))).toString(),
      /^croft-proof [\w-]{43}$/,
    );
  });

  test("does not sign with a wrong PIN, which is in no message", async () => {
    await assert.rejects(openSigner(uri("8765"), engine), (error) => {
      assert.ok(error instanceof Failure);
      assert.match(error.message, /^Cannot use the key 'pkcs11:.*' with 'openssl': .*Login failed/);
      assert.doesNotMatch(`${error.stack} ${JSON.stringify(error)}`, /8765/);
      assert.equal(error.cause, undefined, "the cause would have the arguments");
      return true;
    });
  });
});

for (const [what, name, external, message] of [
  ["a missing key", "none", undefined, /^Cannot use the key '.*none': no such file or directory$/],
  ["no key", "text", undefined, /^Cannot use the key '.*text': it holds no private key in PEM form$/],
  ["a public key", "public.pem", undefined, /: it holds no private key in PEM form$/],
  ["an encrypted key", "encrypted.pem", undefined, /: it is encrypted; --openssl with --openssl-option can/],
  ["no RSA key", "ed25519.pem", undefined, /: it is no RSA key but ed25519$/],
  ["a missing key for openssl", "none", openssl3, /^Cannot use the key '.*none': no such file or directory$/],
  [
    "no key for openssl",
    "text",
    openssl3,
    /^Cannot use the key '.*text' with 'openssl': exit status 1: \S.+$/,
  ],
  [
    "a public key for openssl",
    "public.pem",
    openssl3,
    /^Cannot use the key '.*' with 'openssl': exit status 1: /,
  ],
  ["no RSA key for openssl", "ed25519.pem", openssl3, /: it is no RSA key but ed25519$/],
  [
    "an encrypted key without its passphrase",
    "encrypted.pem",
    openssl3,
    /^Cannot use the key .*: exit status 1: /,
  ],
  [
    "no program",
    "key.pem",
    () => ({ program: "/nonexistent/openssl", options: [] }),
    /^Cannot sign with '\/nonexistent\/openssl': no such program$/,
  ],
  [
    "another program",
    "key.pem",
    () => ({ program: "/bin/echo", options: [] }),
    /^Cannot sign with '\/bin\/echo': it is no OpenSSL; for its version it prints 'version'$/,
  ],
  [
    "a program that signs something else",
    "key.pem",
    () => ({
      program: program("liar", 'case $1 in pkeyutl) cat >/dev/null; echo signed;; *) exec $real "$@";; esac'),
      options: [],
    }),
    /^Cannot sign with '.*liar': what it printed is no signature of the text by the key$/,
  ],
  [
    "options that it does not know",
    "key.pem",
    () => ({ program: "openssl", options: ["-passin", "pass:hidden", "-nonsense"] }),
    /^Cannot use the key '.*key.pem' with 'openssl': exit status 1: (?!.*hidden).*nonsense/,
  ],
] as const)
  test(`${what} is one clear line`, async () => {
    await assert.rejects(openSigner(at(name), external?.()), (error) => {
      assert.ok(error instanceof Failure, String(error));
      assert.match(error.message, message);
      assert.doesNotMatch(error.message, /\n/);
      return true;
    });
  });

test("a program that takes its time is not waited for once the agent is to end", async () => {
  const stop = new AbortController();
  const slow = program("slow", 'case $1 in pkeyutl) exec sleep 60;; *) exec $real "$@";; esac');
  const opening = openSigner(at("key.pem"), { program: slow, options: [] }, stop.signal);
  const called = async () =>
    /pkeyutl/.test(existsSync(`${slow}.calls`) ? readFileSync(`${slow}.calls`, "utf8") : "");
  await until(called, "the program to start");
  stop.abort(new Error("asked to end"));
  await assert.rejects(opening, /^Error: asked to end$/);
});

test("a fingerprint is that of the public key, whatever form the private key has", async () => {
  const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 1024 });
  const expected = createHash("sha256")
    .update(publicKey.export({ type: "spki", format: "der" }))
    .digest("hex");
  for (const type of ["pkcs1", "pkcs8"] as const) {
    writeFileSync(at(type), privateKey.export({ type, format: "pem" }));
    assert.equal((await openSigner(at(type))).fingerprint, expected);
  }
});

test("croft doctor tries a key with the program that signs, as the agent does", async () => {
  const check = async (authKey: string, openssl: { program: string; options: string[] }) => {
    const settings = { ...makeSettings({}, ["http://127.0.0.1/"]), authKey, openssl };
    return (await keyChecks[0]!.run(settings, new AbortController().signal)).at(-1)!;
  };
  const options = ["-passin", `file:${at("passphrase")}`];
  const good = await check(at("encrypted.pem"), { program: "openssl", options });
  assert.equal(good.level, "ok", good.text);
  assert.match(good.text, new RegExp((await openSigner(at("key.pem"))).fingerprint));
  for (const [key, program] of [
    ["missing.pem", "openssl"],
    ["encrypted.pem", at("no-such-program")],
  ] as const)
    assert.equal((await check(at(key), { program, options })).level, "problem", key);
});
