import assert from "node:assert/strict";
import { test } from "node:test";
import { maskCredentials, secretsOf } from "../../../os/text/credentials.ts";

test("user and password of URLs are masked wherever they stand in a text, and nothing else", () => {
  for (const [text, shown] of [
    ["https://ci:s3cr3t@host/x.git#main@0123", "https://***@host/x.git#main@0123"],
    ["https://ghp_token@host:8443/x", "https://***@host:8443/x"],
    ["HTTPS://a:b@h/ and 'git+https://c:d@h/'", "HTTPS://***@h/ and 'git+https://***@h/'"],
    ["https://a:p%40ss@w@h/", "https://***@h/"],
    ["ssh://git@host/x.git", "ssh://git@host/x.git"],
    ["ssh://git:pw@host/x.git", "ssh://git:***@host/x.git"],
    ["git@host:x.git", "git@host:x.git"],
    ["postgres://croft:pw@db/croft?sslmode=require", "postgres://***@db/croft?sslmode=require"],
    [
      "https://h/a.tar.gz?private_token=abc&x=1;sig=2#f",
      "https://h/a.tar.gz?private_token=***&x=1;sig=***#f",
    ],
    ["https://h/?X-Amz-Signature=abc&monkey=1", "https://h/?X-Amz-Signature=***&monkey=1"],
    ["https://h/a@b?c=d@e", "https://h/a@b?c=d@e"],
    ["no URL: a@b, x://", "no URL: a@b, x://"],
  ] as const) {
    assert.equal(maskCredentials(text), shown);
    assert.equal(maskCredentials(shown), shown);
  }
});

test("masking costs the same for each character, whatever the text is", () => {
  const long = `https://${"a:".repeat(200_000)}`;
  const start = performance.now();
  maskCredentials(long);
  maskCredentials("x".repeat(400_000) + "://");
  maskCredentials(`https://h/?${"a=".repeat(200_000)}`);
  assert.ok(performance.now() - start < 5000);
});

test("what gives credentials away is known in each of its forms", () => {
  const base64 = Buffer.from("ci:p@ss").toString("base64");
  assert.deepEqual(
    new Set(secretsOf("https://ci:p%40ss@h/x")),
    new Set(["p%40ss", "p@ss", "ci:p%40ss", "ci:p@ss", base64]),
  );
  assert.deepEqual(secretsOf("https://ghp_token@h/x"), ["ghp_token"]);
  assert.ok(secretsOf("https://ghp_0123456789abcdef:x-oauth-basic@h/").includes("ghp_0123456789abcdef"));
  assert.deepEqual(secretsOf("https://h/x?token=abcdef&n=12345"), ["abcdef"]);
  for (const none of ["ssh://git@h/x", "git@h:x", "https://h/x#a@b", "not a URL", "https://a:b"])
    assert.deepEqual(secretsOf(none), []);
});
