/** What an agent meets: tasks, results, leases, live logs, uploads, over HTTP with a controller of its own process. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { after, before, describe, test } from "node:test";
import { formatResultRequest } from "../../manifests/result-request.ts";
import { packageFile } from "../../os/files/package.ts";
import { run } from "../../os/run.ts";
import {
  makeFarm,
  post,
  postTaskRequest,
  readBuild,
  receivedTask,
  requestTask,
  sendLog,
  sendResult,
  submit,
  type Farm,
  type RunningController,
} from "./farm.ts";
import { patienceSeconds } from "../fixtures/patience.ts";
import { until } from "./until.ts";

const configuration = `
targets:
  - name: debian
    machine: debian_*
    target: x86_64-linux-gnu
    environment: gcc
    config: --with-ssl "CC=gcc -m64"
    warnings: [ "deprecated:" ]
  - name: fedora
    machine: fedora_*
  - name: impatient
    machine: impatient
    timeout: 1
lease-margin: 1
interactive-timeout: 7200
retries: 1
log-limit: 1K
upload-limit: 64K
result-limit: 40M
`;
const machine = (name: string) => ({ machines: [{ id: `${name}-1`, name, summary: name }] });

describe("an agent's work", () => {
  let farm: Farm;
  let controller: RunningController;
  let url: string;
  before(async () => {
    farm = await makeFarm(configuration);
    controller = await farm.start();
    url = controller.url;
  });
  after(() => farm[Symbol.asyncDispose]());

  test("no work is a response with an empty session", async () => {
    const task = await requestTask(url, machine("nothing_for_it"));
    assert.deepEqual(task, { session: "", uploadUrls: {}, logUrl: null });
  });

  test("a build goes to a machine that its target's pattern matches, and its result is shown", async () => {
    const id = await submit(url, { targets: ["debian"], version: "1.0", config: "--enable-x 'a b'" });
    assert.equal((await requestTask(url, machine("fedora_42"))).session, "");
    const task = await requestTask(url, machine("debian_13"));
    assert.match(task.session, /^[A-Za-z0-9_-]{22,}$/);
    assert.equal(task.resultUrl, `${url}/agent/result`);
    assert.equal(task.task?.machine, "debian_13");
    assert.equal(task.task?.environment, "gcc");
    assert.deepEqual(task.task?.targetConfig, ["--with-ssl", '"CC=gcc -m64"']);
    assert.deepEqual(task.task?.packageConfig, ["--enable-x", "'a b'"]);
    assert.deepEqual(task.task?.warningRegex, ["deprecated:"]);
    assert.equal((await readBuild(url, id)).state, "building");
    const log = "a.c:1: warning: odd\nfine\nb.c:2: error: no\n";
    const answer = await sendResult(task, "error", [
      ["configure", "success", "ok\n"],
      ["update", "error", log],
    ]);
    assert.equal(answer.status, 204);
    const build = await readBuild(url, id);
    assert.equal(build.state, "finished");
    assert.equal(build.status, "error");
    assert.deepEqual(
      build.operations.map(({ name, status, warnings, errors }) => [name, status, warnings, errors]),
      [
        ["configure", "success", 0, 0],
        ["update", "error", 1, 1],
      ],
    );
    assert.equal(await (await fetch(build.operations[1]!.logUrl)).text(), log);
    const whole = await (await fetch(`${url}/api/v1/builds/${id}/log`)).text();
    assert.equal(whole, `==> configure: success\nok\n==> update: error\n${log}`);
  });

  test("the same result again is accepted, another one is not", async () => {
    await submit(url, { targets: ["debian"] });
    const task = await requestTask(url);
    assert.equal((await sendResult(task, "success", [["update", "success", "x"]])).status, 204);
    assert.equal((await sendResult(task, "success", [["update", "success", "x"]])).status, 204);
    assert.equal((await sendResult(task, "error", [["update", "error", "x"]])).status, 410);
    assert.equal((await sendResult({ ...task, session: "unknown" }, "success")).status, 410);
  });

  test("a result that is no manifest is refused with the place", async () => {
    const answer = await post(`${url}/agent/result`, Buffer.from(": 1\nsession: x\nbad\n"), "text/manifest");
    assert.equal(answer.status, 400);
    assert.match(((await answer.json()) as { error: string }).error, /3:4/);
  });

  test("the highest priority goes first, then the oldest, and an interrupted build before all", async () => {
    const low = await submit(url, { targets: ["debian"], priority: -5 });
    const first = await submit(url, { targets: ["debian"] });
    const second = await submit(url, { targets: ["debian"] });
    const high = await submit(url, { targets: ["debian"], priority: 7, machine: "debian_1?" });
    const taken = await requestTask(url);
    assert.equal((await readBuild(url, high)).state, "building");
    const interrupted = await requestTask(url);
    assert.equal((await readBuild(url, first)).state, "building");
    const urgent = await submit(url, { targets: ["debian"], priority: 100 });
    assert.equal((await sendResult(interrupted, "interrupt")).status, 204);
    assert.equal((await readBuild(url, first)).state, "queued");
    const order: number[] = [];
    for (let count = 0; count < 4; count++) {
      const task = await requestTask(url);
      for (const id of [low, first, second, urgent])
        if (!order.includes(id) && (await readBuild(url, id)).state === "building") order.push(id);
      assert.equal((await sendResult(task, "success")).status, 204);
    }
    assert.deepEqual(order, [first, urgent, second, low]);
    assert.equal((await sendResult(taken, "skip")).status, 204);
  });

  test("an abort is tried again as often as configured", async () => {
    const id = await submit(url, { targets: ["debian"] });
    const first = await postTaskRequest(url);
    assert.deepEqual(
      ["croft-suspend", "croft-timeout", "croft-alive-url"].map((name) => first.headers.get(name)),
      [null, null, null],
    );
    assert.equal((await sendResult(await receivedTask(first), "abort")).status, 204);
    assert.equal((await readBuild(url, id)).state, "queued");
    const again = await postTaskRequest(url);
    assert.equal(again.headers.get("croft-suspend"), "no", "one machine that it holds is enough");
    assert.equal((await sendResult(await receivedTask(again), "abort")).status, 204);
    const build = await readBuild(url, id);
    assert.equal(build.status, "abort");
    assert.equal(build.attempts.length, 2);
    const page = await (await fetch(`${url}/builds/${id}`)).text();
    assert.match(page, /<dt>Attempts<\/dt>\s*<dd>2 \(2 aborts\)<\/dd>/);
    const list = [process.execPath, packageFile("bin", "main.ts"), "builds", "--controller", url];
    const { stdout } = await run(list, { timeoutSeconds: 300 });
    assert.match(stdout, /^1?\d* .*\babort +2 \(2 aborts\) /m);
  });

  test("a build whose lease is over is queued again; the first result of both agents counts", async () => {
    const id = await submit(url, { targets: ["impatient"] });
    const first = await requestTask(url, machine("impatient"));
    await until(async () => (await readBuild(url, id)).state === "queued", "the lease to end");
    assert.equal((await sendResult(first, "success", [["update", "success", "late"]])).status, 204);
    assert.equal((await readBuild(url, id)).status, "success");
    assert.equal(
      (await requestTask(url, machine("impatient"))).session,
      "",
      "the job is gone from the queue",
    );

    const other = await submit(url, { targets: ["impatient"] });
    const slow = await requestTask(url, machine("impatient"));
    await until(async () => (await readBuild(url, other)).state === "queued", "the lease to end");
    const quick = await requestTask(url, { ...machine("impatient"), agent: "host-2" });
    assert.equal((await sendLog(slow, 0, "x")).status, 204, "it may be the first");
    assert.equal((await sendResult(quick, "success")).status, 204);
    const late = await sendResult(slow, "error");
    assert.deepEqual([late.status, late.headers.get("croft-session")], [410, "superseded"]);
    assert.equal((await sendLog(slow, 1, "x")).status, 410);
    const build = await readBuild(url, other);
    assert.deepEqual(
      build.attempts.map(({ state, agent }) => [state, agent]),
      [
        ["superseded", "host-1"],
        ["finished", "host-2"],
      ],
    );
  });

  test("live log chunks extend the lease", async () => {
    for (let sentInTime = false; !sentInTime;) {
      const id = await submit(url, { targets: ["impatient"] });
      const task = await requestTask(url, machine("impatient"));
      const start = performance.now();
      let longestMs = 0;
      for (let offset = 0, last = start; last - start < 4000; offset++) {
        assert.equal((await sendLog(task, offset, ".")).status, 204);
        await new Promise((resolve) => setTimeout(resolve, 200));
        longestMs = Math.max(longestMs, performance.now() - last);
        last = performance.now();
      }
      const { attempts, state } = await readBuild(url, id);
      // A host that is too busy to send them in time shows nothing.
      sentInTime = longestMs < 800;
      if (sentInTime) assert.deepEqual([attempts.length, state], [1, "building"]);
      assert.equal((await sendResult(task, "success")).status, 204);
    }
  });

  test("log chunks may be repeated or overlap, but leave no gap, and end at the limit", async () => {
    const id = await submit(url, { targets: ["debian"] });
    const task = await requestTask(url);
    const log = () => fetch(`${url}/api/v1/builds/${id}/log`).then((response) => response.text());
    assert.equal((await sendLog(task, 0, "hello ")).status, 204);
    assert.equal((await sendLog(task, 0, "hello ")).status, 204);
    assert.equal((await sendLog(task, 4, "o world\u0000\n")).status, 204);
    assert.equal(await log(), "hello world\u0000\n");
    const gap = await sendLog(task, 20, "x");
    assert.equal(gap.status, 409);
    assert.equal(gap.headers.get("croft-log-offset"), "13");
    assert.equal((await sendLog(task, 13, "y".repeat(2000))).status, 204);
    assert.equal((await sendLog(task, 2013, "z".repeat(2000))).status, 204);
    const cut = await log();
    assert.match(cut, /y\n\[croft: the log is longer/);
    assert.equal(cut.indexOf("\n["), 1024);
    assert.ok(!cut.includes("z"));
    assert.equal(
      (await post(`${task.logUrl}?offset=-1`, Buffer.from("x"), "application/octet-stream")).status,
      400,
    );
    assert.equal((await sendResult(task, "success", [["update", "success", "done\n"]])).status, 204);
    assert.equal((await sendLog(task, 0, "x")).status, 410);
    const live = await (await fetch(`${url}/api/v1/builds/${id}/log?kind=live`)).text();
    assert.equal(live, cut, "the live log is kept beside the result's");
  });

  test("an upload is kept if its hash is right, whole, and not too large", async () => {
    const id = await submit(url, { targets: ["debian"] });
    const task = await requestTask(url);
    const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");
    const upload = async (content: string, digest: string, name = "hello.tar.gz", type = "package") => {
      const form = new FormData();
      form.set("session", task.session);
      form.append("sha256", digest);
      form.append("file", new Blob([content]), name);
      const address = task.uploadUrls[type] ?? `${url}/agent/upload/${task.session}/${type}`;
      return (await fetch(address, { method: "POST", body: form })).status;
    };
    assert.equal(await upload("content", sha256("other")), 400);
    assert.equal(await upload("x".repeat(70_000), sha256("x".repeat(70_000))), 413);
    assert.equal(await upload("content", sha256("content"), "../evil"), 400);
    assert.equal(await upload("content", sha256("content"), "lib/a b.so"), 204);
    assert.equal(await upload("content", sha256("content"), "hello.tar.gz", "poem"), 404);
    assert.equal(await upload("content", sha256("content")), 204);
    assert.equal(await upload("content", sha256("content")), 204);
    assert.equal((await sendResult(task, "success")).status, 204);
    assert.equal(await upload("late", sha256("late")), 410);
    const { artifacts } = await readBuild(url, id);
    const artifact = artifacts.find(({ name }) => name === "hello.tar.gz")!;
    assert.deepEqual(artifacts.map(({ name }) => name).sort(), ["hello.tar.gz", "lib/a b.so"]);
    assert.equal(artifact.sha256, sha256("content"));
    assert.equal(artifact.bytes, 7);
    const download = await fetch(artifact.url);
    assert.equal(await download.text(), "content");
    assert.match(download.headers.get("content-disposition") ?? "", /^attachment;/);
  });

  test("a result with a huge log is stored, one beyond the limit refused", async () => {
    const id = await submit(url, { targets: ["debian"] });
    const task = await requestTask(url);
    const line = `${"x".repeat(99)}\n`;
    const log = line.repeat(300_000);
    assert.equal((await sendResult(task, "success", [["update", "success", log]])).status, 204);
    const stored = Buffer.from(
      await (await fetch(`${url}/api/v1/builds/${id}/log?operation=update`)).arrayBuffer(),
    );
    assert.equal(stored.length, log.length);
    assert.ok(stored.equals(Buffer.from(log)));
    const result = { name: "a", version: "1", status: "success" as const, operations: [] };
    const big = formatResultRequest({
      session: task.session,
      result: { ...result, version: "1".repeat(45 << 20) },
    });
    assert.equal((await post(`${url}/agent/result`, big, "text/manifest")).status, 413);
  });

  test("a cancelled build is taken from its agent", async () => {
    const id = await submit(url, { targets: ["debian"] });
    const task = await requestTask(url);
    const cancel = () => fetch(`${url}/api/v1/builds/${id}/cancel`, { method: "POST" });
    assert.equal((await cancel()).status, 200);
    assert.equal((await cancel()).status, 409);
    assert.equal((await sendLog(task, 0, "x")).status, 410);
    assert.equal((await sendResult(task, "success")).status, 410);
    assert.equal((await requestTask(url)).session, "");
    const again = await fetch(`${url}/api/v1/builds/${id}/rebuild`, { method: "POST" });
    assert.equal(again.status, 201);
    assert.equal((await sendResult(await requestTask(url), "success")).status, 204);
  });

  test("variables of a submission are for agents that hand them on, and it says so while there is none", async () => {
    const croft = (...argv: string[]) =>
      run([process.execPath, packageFile("bin", "main.ts"), ...argv, "--controller", url], {
        timeoutSeconds: patienceSeconds,
        accept: [1, 2],
      });
    const what = ["submit", "https://x.org/hello.git", "--version", "1.0", "--target", "debian"];
    const { stdout } = await croft(...what, "--env", "MODE=fast=yes", "--env", "EMPTY=", "--depth", "0");
    const [, id] = /^build (\d+),/.exec(stdout)!;
    assert.equal((await receivedTask(await postTaskRequest(url, {}, "; alive, timeout"))).session, "");
    const { waiting, variables } = await readBuild(url, Number(id));
    assert.equal(
      waiting,
      "it has variables, and no agent with such a machine hands them on: croft there is too old",
    );
    const all = { MODE: "fast=yes", EMPTY: "", CROFT_GIT_DEPTH: "0" };
    assert.deepEqual(variables, all);
    const task = await receivedTask(await postTaskRequest(url, {}, "; timeout, variables"));
    assert.deepEqual(task.task!.variables, all);
    assert.equal((await sendResult(task, "success")).status, 204);
    for (const [given, reason] of [
      [["--env", "PATH=/tmp"], /a build has a variable 'PATH' already/],
      [["--env", "A=1", "--env", "A=2"], /there are two variables 'A'/],
      [["--env", "A=1", "--secret", "A"], /'A' is both a variable and a secret/],
      [["--env", "a-b=1"], /expected NAME=VALUE/],
      [["--env", "CROFT_GIT_DEPTH=1"], /a build has a variable 'CROFT_GIT_DEPTH' already/],
      [["--depth", "-1"], /expected a whole number from 0 to 999999/],
      [["--depth", "1", "--type", "pkg"], /an archive has no history of commits/],
    ] as const)
      assert.match((await croft(...what, ...given)).stderr, reason);
  });

  test("only of an agent that says so are signs of life expected, and the end of a build in time", async () => {
    for (const [abilities, expected] of [
      ["; alive, wake, timeout", [`${url}/agent/alive`, "5400"]],
      ["; alive", [`${url}/agent/alive`, null]],
      ["; alivex, xtimeout", [null, null]],
      ["; timeout;alive", [null, "5400"]],
      ["", [null, null]],
    ] as const) {
      await submit(url, { targets: ["debian"] });
      const given = await postTaskRequest(url, {}, abilities);
      const told = ["croft-alive-url", "croft-timeout"].map((name) => given.headers.get(name));
      assert.deepEqual(told, expected, abilities);
      assert.equal((await sendResult(await receivedTask(given), "success")).status, 204);
    }
  });

  test("an interactive build goes to agents that take such", async () => {
    await submit(url, { targets: ["debian"], interactive: "error" });
    assert.equal((await requestTask(url)).session, "");
    const login = { interactiveMode: "both", interactiveLogin: "ssh there" } as const;
    const response = await postTaskRequest(url, login);
    assert.equal(response.headers.get("croft-timeout"), "7200", "its machine is gone when the lease ends");
    const task = await receivedTask(response);
    assert.equal(task.task?.interactive, "error");
    assert.equal((await sendResult(task, "success")).status, 204);
  });
});
