/** Where messages may go, how they are signed, and what is wrong with who is to have them. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { readControllerConfiguration } from "../../../controller/configuration.ts";
import { isLocalAddress } from "../../../controller/messages/reachable.ts";
import { signatureHeaders } from "../../../controller/messages/signature.ts";
import { post } from "../../../controller/messages/post.ts";

test("requests are signed as Standard Webhooks has it", () => {
  // The example of the specification's libraries
  const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
  const headers = signatureHeaders(
    secret,
    "msg_p5jXN8AQM9LWM0D4loKWxJek",
    1_614_265_330,
    '{"test": 2432232314}',
  );
  assert.deepEqual(headers, {
    "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "webhook-timestamp": "1614265330",
    "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
  });
});

test("addresses of this host and its own network are told from others, however they are written", () => {
  for (const address of [
    "127.0.0.1",
    "127.9.9.9",
    "0.0.0.0",
    "169.254.169.254",
    "::1",
    "::",
    "fe80::1%eth0",
    "::ffff:127.0.0.1",
    "::ffff:7f00:1",
    "::ffff:a9fe:a9fe",
    "ff02::1",
    "255.255.255.255",
    "::127.0.0.1",
    "64:ff9b::127.0.0.1",
    "64:ff9b::7f00:1",
  ])
    assert.equal(isLocalAddress(address), true, address);
  for (const address of ["10.0.0.1", "192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1", "fd00::1"])
    assert.equal(isLocalAddress(address), false, address);
});

test("a name or number that leads to this host is not asked", async () => {
  for (const host of ["localhost", "127.1", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]"]) {
    const url = new URL(`http://${host}:9/`);
    const request = { url, headers: {}, body: "", isLocal: false, signal: new AbortController().signal };
    await assert.rejects(async () => post(request), /is of this host or its own network/, host);
  }
});

const hook = "name: a, kind: webhook, url: https://x.org/, packages: ['*']";
for (const [what, notifications, reason] of [
  [
    "a webhook without a secret",
    `{ ${hook} }`,
    /2:14: notifications\.0\.kind: a webhook is signed: secret-file/,
  ],
  [
    "one that is told of nothing",
    "{ name: a, kind: chat, url: https://x.org/ }",
    /2:5: notifications\.0\.name: it is told of nothing/,
  ],
  [
    "mail without a server",
    "{ name: a, kind: mail, to: [a@x.org], packages: [a] }",
    /notifications\.0\.kind: mail needs smtp/,
  ],
  [
    "a key of another kind",
    "{ name: a, kind: mail, to: [a@x.org], packages: [a], url: https://x.org/ }",
    /notifications\.0\.url: a mail has none/,
  ],
  [
    "two of a name",
    "{ name: a, kind: chat, url: https://x.org/, packages: [a] }\n- { name: a, kind: chat, url: https://x.org/, packages: [a] }",
    /two called 'a'/,
  ],
  [
    "a password in the address",
    "{ name: a, kind: chat, url: 'https://u:p@x.org/', packages: [a] }",
    /are not sent/,
  ],
  [
    "another scheme",
    "{ name: a, kind: chat, url: 'file:///etc/passwd', packages: [a] }",
    /no http or https URL/,
  ],
] as const)
  test(`${what} is told of with its place`, () => {
    const directory = mkdtempSync(join(tmpdir(), "croft-test-notifications-"));
    try {
      const config = join(directory, "controller.yaml");
      writeFileSync(config, `notifications:\n- ${notifications}\n`);
      assert.throws(() => readControllerConfiguration({ config }), reason);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
