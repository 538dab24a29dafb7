/** A controller with a certificate of its own. */
import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { copyFile } from "node:fs/promises";
import { createServer } from "node:https";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { connect } from "node:tls";
import { readCertificate, renewCertificate } from "../../../controller/tls.ts";
import { packageFile } from "../../../os/files/package.ts";
import { temporaryDirectory, type TemporaryDirectory } from "../../../os/files/temporary.ts";
import type { Log } from "../../../os/log.ts";
import { run } from "../../../os/run.ts";
import { patienceSeconds } from "../../fixtures/patience.ts";
import { makeCertificate } from "../../fixtures/services/certificate.ts";
import { makeFarm } from "../farm.ts";
import { until } from "../until.ts";

describe("a controller with a certificate", () => {
  const names = ["first", "second"];
  let directory: TemporaryDirectory;
  const at = (name: string) => join(directory.path, name);
  const makePair = (name: string) =>
    makeCertificate({ key: at(`${name}.key`), cert: at(`${name}.pem`) }, "IP:127.0.0.1");
  before(async () => {
    directory = await temporaryDirectory("croft-test-tls-");
    for (const name of names) await makePair(name);
  });
  after(() => directory?.[Symbol.asyncDispose]());

  test("is reached by https; its links say so, people sign in there, and croft's commands speak to it", async () => {
    await using farm = await makeFarm(`tls:\n  cert: ${at("first.pem")}\n  key: ${at("first.key")}\n`);
    const { url } = await farm.start();
    assert.match(url, /^https:\/\/127\.0\.0\.1:\d+$/);
    const env = { ...process.env, CROFT_CONTROLLER: url, NODE_EXTRA_CA_CERTS: at("first.pem") };
    const croft = (...args: string[]) =>
      run([process.execPath, packageFile("bin", "main.ts"), ...args], {
        timeoutSeconds: patienceSeconds,
        env,
      });
    const { stdout } = await croft("submit", "https://example.org/hello.git");
    assert.ok(stdout.includes(`${url}/builds/1\n`), stdout);
    const page = await run(["curl", "-sSi", "--cacert", at("first.pem"), `${url}/sign-in`], {
      timeoutSeconds: patienceSeconds,
    });
    assert.match(page.stdout, /^HTTP\/1\.1 200 /);
    assert.match(page.stdout, /<input id="token"/);
  });

  test("does not start with files that it cannot use", async () => {
    const start = async (cert: string, key: string) => {
      await using farm = await makeFarm(`tls:\n  cert: ${at(cert)}\n  key: ${at(key)}\n`);
      await farm.start();
    };
    await assert.rejects(
      start("none.pem", "first.key"),
      /Cannot read the certificate '.*none\.pem': no such/,
    );
    await assert.rejects(
      start("first.pem", "second.key"),
      /Cannot use the certificate '.*first\.pem' with the key '.*second\.key': /,
    );
  });

  test("uses a renewed one without a restart, once it has both files of it", async (context) => {
    const files = { cert: at("used.pem"), key: at("used.key") };
    const put = (kind: "pem" | "key", name: string) => copyFile(at(`${name}.${kind}`), at(`used.${kind}`));
    await put("pem", "first");
    await put("key", "first");
    const used = readCertificate(files);
    const server = createServer(used).listen(0, "127.0.0.1");
    context.after(() => server.close());
    await once(server, "listening");
    const lines: string[] = [];
    const keep = (_: object, message: string) => void lines.push(message);
    const log = { info: keep, warn: keep } as unknown as Log;
    using _renewal = renewCertificate(server, files, used, log, 20);
    const { port } = server.address() as AddressInfo;
    const shown = async () => {
      const socket = connect({ port, host: "127.0.0.1", rejectUnauthorized: false });
      await once(socket, "secureConnect");
      const { fingerprint256 } = socket.getPeerCertificate();
      socket.destroy();
      return names.find(
        (name) => new X509Certificate(readFileSync(at(`${name}.pem`))).fingerprint256 === fingerprint256,
      );
    };
    await put("key", "second");
    await until(async () => lines.some((line) => line.includes("the former one is used")), "a warning");
    assert.equal(await shown(), "first");
    await put("pem", "second");
    await until(async () => (await shown()) === "second", "the new certificate");
  });
});
