/** Agents with keys made by openssl, people with tokens. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { run } from "../../../os/run.ts";
import {
  makeFarm,
  postTaskRequest,
  requestTask,
  sendResult,
  submit,
  type Farm,
  type ReceivedTask,
  type RunningController,
} from "../farm.ts";
import { makeKey, writeKeys } from "./proof.ts";

const openssl = (...args: string[]) => run(["openssl", ...args], { timeoutSeconds: 300 });

describe("agents with keys", () => {
  let farm: Farm;
  let controller: RunningController;
  let url: string;
  let fingerprint: string;
  before(async () => {
    farm = await makeFarm();
    const keys = join(farm.directory, "keys");
    await mkdir(keys);
    for (const name of ["agent", "stranger"]) await openssl("genrsa", "-out", key(name), "2048");
    await openssl("rsa", "-in", key("agent"), "-pubout", "-out", join(keys, "agent.pem"));
    fingerprint = await fingerprintOf("agent");
    await writeFile(join(farm.directory, "controller.yaml"), `agents:\n  keys: ${keys}\n`);
    controller = await farm.start();
    url = controller.url;
  });
  after(() => farm[Symbol.asyncDispose]());

  const key = (name: string) => join(farm.directory, `${name}.key`);

  async function fingerprintOf(name: string): Promise<string> {
    const der = join(farm.directory, `${name}.der`);
    await openssl("rsa", "-in", key(name), "-pubout", "-outform", "DER", "-out", der);
    return createHash("sha256")
      .update(await readFile(der))
      .digest("hex");
  }

  /** What `openssl pkeyutl -sign` without a digest makes of the challenge. */
  async function sign(challenge: string, name: string): Promise<string> {
    const [from, to] = [join(farm.directory, "challenge"), join(farm.directory, "signature")];
    await writeFile(from, challenge);
    await openssl("pkeyutl", "-sign", "-inkey", key(name), "-in", from, "-out", to);
    return (await readFile(to)).toString("base64");
  }

  test("without a fingerprint: 401; with an unknown one: 403", async () => {
    assert.equal((await postTaskRequest(url)).status, 401);
    assert.equal((await postTaskRequest(url, { fingerprint: await fingerprintOf("stranger") })).status, 403);
    assert.equal((await postTaskRequest(url, { fingerprint })).status, 200);
  });

  test("a result counts only with the challenge signed by the agent's own key", async () => {
    await submit(url);
    const task = await requestTask(url, { fingerprint });
    assert.match(task.challenge ?? "", /^[0-9a-f]{64}$/);
    assert.equal((await sendResult(task, "success")).status, 401);
    assert.equal((await sendResult(task, "success", [], "AAAA")).status, 401);
    assert.equal(
      (await sendResult(task, "success", [], await sign(task.challenge!, "stranger"))).status,
      401,
    );
    // openssl signs 64 bytes at most, which a challenge has. Each half of the comparison by itself: of another length, and of the same length.
    const challenge = task.challenge!;
    const last = challenge.endsWith("0") ? "1" : "0";
    for (const text of ["another text", "", challenge.slice(0, -1), challenge.slice(0, -1) + last])
      assert.equal(
        (await sendResult(task, "success", [], await sign(text, "agent"))).status,
        401,
        `signed: '${text}'`,
      );
    const signature = await sign(task.challenge!, "agent");
    assert.equal((await sendResult(task, "success", [], signature)).status, 204);
    assert.equal((await sendResult(task, "success", [], signature)).status, 204);
  });

  test("a good answer to the challenge of another task is refused", async () => {
    await submit(url);
    await submit(url);
    const [first, next] = [await requestTask(url, { fingerprint }), await requestTask(url, { fingerprint })];
    assert.equal(first.challenge!.length, next.challenge!.length);
    const [toFirst, toNext] = [await sign(first.challenge!, "agent"), await sign(next.challenge!, "agent")];
    assert.equal((await sendResult(first, "success", [], toNext)).status, 401);
    assert.equal(await upload(first, toNext), 401);
    assert.equal((await sendResult(next, "success", [], toFirst)).status, 401);
    assert.equal((await sendResult(first, "success", [], toFirst)).status, 204);
    assert.equal((await sendResult(next, "success", [], toNext)).status, 204);
  });

  test("an artifact, too, and before it is read", async () => {
    await submit(url);
    const task = await requestTask(url, { fingerprint });
    assert.equal(await upload(task, undefined), 401);
    assert.equal(await upload(task, await sign(task.challenge!, "stranger")), 401);
    const signature = await sign(task.challenge!, "agent");
    assert.equal(await upload(task, signature), 204);
    assert.equal((await sendResult(task, "success", [], signature)).status, 204);
  });
});

async function upload(task: ReceivedTask, signature: string | undefined): Promise<number> {
  const form = new FormData();
  form.set("session", task.session);
  if (signature !== undefined) form.set("challenge", signature);
  form.append("sha256", createHash("sha256").update("x").digest("hex"));
  form.append("file", new Blob(["x"]), "x.tar");
  return (await fetch(task.uploadUrls["package"]!, { method: "POST", body: form })).status;
}

describe("people with tokens", () => {
  let farm: Farm;
  let url: string;
  const sha256 = createHash("sha256").update("secret").digest("hex");
  before(async () => {
    farm = await makeFarm();
    const keys = writeKeys(farm.directory, makeKey());
    const tokens = `tokens:\n  - name: ann\n    sha256: ${sha256}\n`;
    await writeFile(
      join(farm.directory, "controller.yaml"),
      `private: true\nagents:\n  keys: ${keys}\n${tokens}`,
    );
    url = (await farm.start()).url;
  });
  after(() => farm[Symbol.asyncDispose]());

  const ask = async (path: string, headers: Record<string, string>, method = "GET") =>
    await fetch(url + path, {
      method,
      headers: { ...headers, ...(method === "POST" ? { "content-type": "application/json" } : {}) },
      ...(method === "POST" ? { body: JSON.stringify({ name: "a", repository: "https://x.org/a" }) } : {}),
    });
  const bearer = { authorization: "Bearer secret" };

  test("change only with a token, which is shown as the submitter", async () => {
    assert.equal((await ask("/api/v1/builds", {}, "POST")).status, 401);
    assert.equal((await ask("/api/v1/builds", { authorization: "Bearer other" }, "POST")).status, 401);
    const answer = await ask("/api/v1/builds", bearer, "POST");
    assert.equal(answer.status, 201);
    const { builds } = (await answer.json()) as { builds: { submittedBy: string }[] };
    assert.equal(builds[0]!.submittedBy, "ann");
  });

  test("read a private controller only with a token, in the browser as a password", async () => {
    for (const path of ["/api/v1/builds", "/builds", "/builds/1", "/api/v1/builds/1/log"]) {
      const refused = await ask(path, {});
      assert.equal(refused.status, 401, path);
      assert.match(refused.headers.get("www-authenticate") ?? "", /^Basic /);
      assert.equal((await ask(path, bearer)).status, 200, path);
    }
    const basic = `Basic ${Buffer.from("me:secret").toString("base64")}`;
    assert.equal((await ask("/builds", { authorization: basic })).status, 200);
    assert.equal((await ask("/healthz", {})).status, 200);
  });

  test("are not made to submit by another site's page", async () => {
    assert.equal(
      (await ask("/api/v1/builds", { ...bearer, origin: "https://evil.example" }, "POST")).status,
      403,
    );
    assert.equal((await ask("/api/v1/builds", { ...bearer, origin: url }, "POST")).status, 201);
  });
});
