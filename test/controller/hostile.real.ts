/** Requests that are wrong or malicious, over HTTP, and what the controller keeps of them. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { readFile, readdir, stat } from "node:fs/promises";
import { request, type IncomingMessage } from "node:http";
import { connect } from "node:net";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { after, before, describe, test } from "node:test";
import { formatResultRequest } from "../../manifests/result-request.ts";
import {
  beginUpload,
  makeFarm,
  post,
  postTaskRequest,
  readBuild,
  requestTask,
  sendLog,
  sendResult,
  submit,
  type Farm,
  type RunningController,
} from "./farm.ts";
import { until } from "./until.ts";

const machines = (...names: string[]) => ({
  machines: names.map((name) => ({ id: `${name}-1`, name, summary: name })),
});

describe("a controller among strangers", () => {
  let farm: Farm;
  let controller: RunningController;
  let url: string;
  before(async () => {
    farm = await makeFarm("targets:\n  - { name: a, machine: a_* }\n  - { name: b, machine: b_* }\n");
    controller = await farm.start();
    url = controller.url;
  });
  after(() => farm[Symbol.asyncDispose]());

  const ask = async (path: string, init: RequestInit = {}) => {
    const response = await fetch(url + path, init);
    return { status: response.status, text: await response.text() };
  };
  const submission = (body: object, headers: Record<string, string> = {}) =>
    ask("/api/v1/builds", {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body: JSON.stringify({ name: "x", repository: "https://x.org/x.git", ...body }),
    });

  test("a misspelt key is refused by its name instead of ignored", async () => {
    const answer = await submission({ target: ["a"] });
    assert.equal(answer.status, 400);
    assert.match(answer.text, /unknown key 'target'/);
    assert.match((await ask("/api/v1/builds?state=odd")).text, /state: expected one of queued, building/);
    for (const path of ["/api/v1/builds?package=x", "/builds?package=x", "/?package=x"]) {
      const { status, text } = await ask(path);
      assert.equal(status, 400, path);
      assert.match(text, /"error":"unknown parameter 'package'; there are state, status, target, name, /);
    }
    const page = await ask("/?package=x", { headers: { accept: "text/html" } });
    assert.match(page.text, /<h1>unknown parameter &#39;package&#39;; there are state, /);
    assert.equal((await ask("/?state=queued")).status, 200);
  });

  test("text that a database refuses is the asker's mistake", async () => {
    assert.equal((await ask("/api/v1/builds?name=%00")).status, 400);
    assert.equal((await ask("/builds?target=%00")).status, 400);
    const headers = { "content-type": "application/octet-stream" };
    assert.equal((await ask("/agent/log/%00?offset=0", { method: "POST", headers, body: "x" })).status, 410);
    assert.equal(
      (await ask("/agent/upload/%00/package", { method: "POST", headers, body: "x" })).status,
      410,
    );
  });

  test("a page of another site changes nothing and gets no task", async () => {
    const headers = { origin: "http://evil.example" };
    assert.equal((await submission({}, headers)).status, 403);
    const task = { method: "POST", headers: { ...headers, "content-type": "text/manifest" }, body: ": 1\n" };
    assert.equal((await ask("/agent/task", task)).status, 403);
    assert.equal((await submission({}, { origin: url })).status, 201);
    assert.equal((await sendResult(await requestTask(url, machines("a_1")), "success")).status, 204);
    assert.equal((await sendResult(await requestTask(url, machines("b_1")), "success")).status, 204);
  });

  test("what no agent could be told of is not queued", async () => {
    const answer = await submission({ config: "'open" });
    assert.equal(answer.status, 400);
    assert.match(answer.text, /a quote is not closed/);
    const directory = await submission({ type: "dir" });
    assert.deepEqual([directory.status, /type: expected one of pkg, git/.test(directory.text)], [400, true]);
  });

  test("values of the database have bounds", async () => {
    assert.equal((await postTaskRequest(url, { agent: "h".repeat(5000) })).status, 400);
    const id = await submit(url, { targets: ["a"] });
    const task = await requestTask(url, machines("a_1"));
    const result = {
      name: "hello",
      version: "1".repeat(100_000),
      status: "success" as const,
      operations: [],
    };
    const body = formatResultRequest({ session: task.session, result });
    assert.equal((await post(task.resultUrl!, body, "text/manifest")).status, 400);
    assert.equal((await readBuild(url, id)).state, "building");
    assert.equal((await sendResult(task, "success")).status, 204);
  });

  test("of several queues the one goes first whose first build is the oldest of the highest priority", async () => {
    const ids = [
      await submit(url, { targets: ["a"] }),
      await submit(url, { targets: ["b"], priority: 5 }),
      await submit(url, { targets: ["a"], priority: 5 }),
    ];
    const task = await requestTask(url, machines("a_1", "b_1"));
    assert.equal((await readBuild(url, ids[1]!)).state, "building");
    await sendResult(task, "success");
    for (let count = 0; count < 2; count++)
      await sendResult(await requestTask(url, machines("a_1")), "success");
  });

  test("a stranger's result is neither read nor kept, a known session's once", async () => {
    const rejected = join(farm.directory, "data", "rejected");
    const send = (session: string, log: string, start = ": 1\n") =>
      post(
        `${url}/agent/result`,
        Buffer.from(`${start}session: ${session}\n: 1\nbad\n${log}`),
        "text/manifest",
      );
    await submit(url, { targets: ["a"] });
    const task = await requestTask(url, machines("a_1"));
    const before = await readdir(rejected);
    const kept = async () => (await readdir(rejected)).filter((name) => !before.includes(name));
    for (let count = 0; count < 3; count++)
      assert.equal((await send("stranger", "x".repeat(20_000_000))).status, 410);
    assert.equal((await send(task.session, "", "# no manifest\n")).status, 400);
    assert.equal((await send("x".repeat(100_000), "")).status, 400);
    assert.deepEqual(await kept(), []);
    for (const log of ["one", "two"]) {
      const answer = await send(task.session, log);
      assert.equal(answer.status, 400);
      assert.match(((await answer.json()) as { error: string }).error, /4:4/);
    }
    const [file, ...others] = await kept();
    assert.match(await readFile(join(rejected, file!), "utf8"), /two$/);
    assert.deepEqual(others, []);
    assert.equal((await send(task.session, "x".repeat(20_000_000))).status, 400);
    assert.equal((await stat(join(rejected, file!))).size, 16 << 20);
    await sendResult(task, "success");
  });

  test("a session that is over takes no piece of a log, whatever is in the body", async () => {
    const answer = await ask("/agent/log/stranger", { method: "POST", body: "x".repeat(5_000_000) });
    assert.equal(answer.status, 410);
  });

  test("a repository's user and password are refused; its token is read nowhere but in the task", async () => {
    const known = await submission({
      repository: "https://ci:s3cr3t-tok@x.org/x.tar.gz?private_token=t0ken-2",
    });
    assert.equal(known.status, 400);
    assert.match(known.text, /its URL has a user or password in it/);
    const repository = "https://x.org/x.tar.gz?private_token=t0ken-2";
    const id = await submit(url, { targets: ["a"], repository, type: "pkg" });
    const task = await requestTask(url, machines("a_1"));
    assert.equal(task.task?.repositoryUrl, repository);
    const log = `+ curl ${repository}\nPRIVATE-TOKEN: t0ken-2\n`;
    await sendLog(task, 0, log.slice(0, 20));
    await sendLog(task, 20, log.slice(20));
    const refused = await submission({ repository: "git+file://ci:s3cr3t-tok@/x" });
    assert.equal(refused.status, 400);
    const pages = [known.text, refused.text];
    const look = async () => {
      for (const path of ["/builds", `/builds/${id}`, "/api/v1/builds", `/api/v1/builds/${id}`, "/metrics"])
        pages.push((await ask(path)).text);
      for (const kind of ["live", "result"])
        pages.push((await ask(`/api/v1/builds/${id}/log?kind=${kind}`)).text);
    };
    await look();
    assert.equal((await sendResult(task, "error", [["update", "error", log]])).status, 204);
    await look();
    pages.push((await ask(`/api/v1/builds/${id}/events`)).text, controller.log());
    for (const page of pages)
      for (const secret of ["s3cr3t", "t0ken"]) assert.ok(!page.includes(secret), page);
    assert.match(pages.join(), /https:\/\/x\.org\/x\.tar\.gz\?private_token=\*\*\*/);
    assert.match(pages.join(), /\+ curl https:\/\/x\.org\/x\.tar\.gz\?private_token=\*{7}/);
    assert.match(pages.join(), /PRIVATE-TOKEN: \*{7}/);
  });

  test("an upload that is no multipart, or whose names mislead, is its sender's mistake", async () => {
    await submit(url, { targets: ["a"] });
    const task = await requestTask(url, machines("a_1"));
    const upload = async (type: string, body: string) => {
      const answer = await post(task.uploadUrls["package"]!, Buffer.from(body), type);
      return `${answer.status} ${((await answer.json()) as { error: string }).error}`;
    };
    assert.match(await upload("multipart/form-data", "x"), /^400 .*[Bb]oundary/);
    assert.match(
      await upload("multipart/form-data; boundary=x", "--x\r\nbad"),
      /^400 the body is no multipart/,
    );
    for (const name of ["invoice\u202efdp.exe", "a\u2066b", "a\u200fb", "a\u0085b"]) {
      const part = `--x\r\ncontent-disposition: form-data; name="file"; filename="${name}"\r\n\r\n\r\n--x--\r\n`;
      const answer = await upload("multipart/form-data; boundary=x", part);
      assert.match(answer, /^400 a file has no usable name: ".*\\\\u[0-9a-f]{4}/);
    }
    await sendResult(task, "success");
  });

  test("who asks by a name of somebody's own is told so, an agent is served", async () => {
    const statusFor = async (host: string, path = "/builds") => {
      const sent = request(url + path, { headers: { host } }).end();
      const [answer] = (await once(sent, "response")) as [IncomingMessage];
      answer.resume();
      return answer.statusCode;
    };
    const port = new URL(url).port;
    for (const host of [
      "evil.example",
      `evil.example:${port}`,
      "localhost.evil.example",
      "127.0.0.1.evil.example",
    ])
      assert.equal(await statusFor(host), 421, host);
    for (const host of ["localhost", `localhost:${port}`, `127.0.0.1:${port}`, "[::1]:1", "192.0.2.7"])
      assert.equal(await statusFor(host), 200, host);
    const check = connect(Number(port), "127.0.0.1").end("GET /healthz HTTP/1.0\r\n\r\n");
    assert.match(await text(check), /^HTTP\/1\.1 200 /, "what looks whether a server is there may name none");
    assert.equal(await statusFor("evil.example", "/api/v1/builds"), 421);
    assert.equal(await statusFor("evil.example", "/agent/nothing"), 404);
  });

  test("an upload that ends after its build was taken away leaves nothing", async () => {
    const id = await submit(url, { targets: ["a"] });
    const task = await requestTask(url, machines("a_1"));
    const content = "late";
    const parts = [
      `--x\r\ncontent-disposition: form-data; name="sha256"\r\n\r\n${createHash("sha256").update(content).digest("hex")}\r\n`,
      `--x\r\ncontent-disposition: form-data; name="file"; filename="f"\r\n\r\n${content}\r\n--x--\r\n`,
    ];
    const upload = request(task.uploadUrls["package"]!, {
      method: "POST",
      headers: { "content-type": "multipart/form-data; boundary=x" },
    });
    const answered = once(upload, "response") as Promise<[{ statusCode: number; resume(): void }]>;
    upload.write(parts[0]! + parts[1]!.slice(0, 80));
    const incoming = join(farm.directory, "data", "incoming");
    await until(async () => (await readdir(incoming)).length > 0, "the file to begin");
    assert.equal((await ask(`/api/v1/builds/${id}/cancel`, { method: "POST" })).status, 200);
    upload.end(parts[1]!.slice(80));
    const [response] = await answered;
    response.resume();
    assert.equal(response.statusCode, 410);
    assert.deepEqual((await readBuild(url, id)).artifacts, []);
    assert.deepEqual(await readdir(incoming), []);
  });

  test("an upload that breaks off leaves nothing", async () => {
    await submit(url, { targets: ["a"] });
    const task = await requestTask(url, machines("a_1"));
    const upload = beginUpload(task.uploadUrls["package"]!, "y".repeat(200_000));
    const incoming = join(farm.directory, "data", "incoming");
    await until(async () => (await readdir(incoming)).length > 0, "the file to begin");
    upload.destroy();
    await until(async () => (await readdir(incoming)).length === 0, "the file to go");
    await sendResult(task, "success");
  });

  test("a person gets a page for what is not there, a program JSON", async () => {
    const person = await ask("/nothing", { headers: { accept: "text/html,*/*" } });
    assert.equal(person.status, 404);
    assert.match(person.text, /<h1>There is no such page/);
    assert.deepEqual(JSON.parse((await ask("/nothing")).text), { error: "There is no such page", hints: [] });
    assert.match((await ask("/builds?state=odd", { headers: { accept: "text/html" } })).text, /<h1>state: /);
  });

  test("whoever listens everywhere sends agents to where they asked", async () => {
    await using other = await makeFarm();
    await using everywhere = await other.start("--listen", "0.0.0.0:0");
    const reached = everywhere.url.replace("0.0.0.0", "127.0.0.1");
    await submit(reached);
    const task = await requestTask(reached);
    assert.equal(task.resultUrl, `${reached}/agent/result`);
    assert.ok(task.logUrl?.startsWith(reached));
  });

  test("a configuration nobody could use is refused at the start", async () => {
    await using quote = await makeFarm(`targets: [{ name: t, config: "'open" }]`);
    await assert.rejects(
      quote.start(),
      /ended with 2: croft: Cannot use target 't': a quote is not closed\n$/,
    );
    const noKeys = "any agent would be given its builds, as there are no agent keys";
    for (const [configuration, reason, hint] of [
      ["", noKeys, /Set agents\.keys to a directory/],
      [`tokens: [{ name: ann, sha256: "${"a0".repeat(32)}" }]`, noKeys, /Set agents\.keys to a directory/],
    ] as const) {
      await using hidden = await makeFarm(`private: true\n${configuration}\n`);
      await assert.rejects(hidden.start(), ({ message }: Error) => {
        assert.match(message, /ended with 2: croft: Cannot use configuration /);
        assert.ok(message.includes(`: private: ${reason}\n`), message);
        assert.match(message.split("\n").slice(1).join("\n"), hint);
        return true;
      });
    }
  });
});
