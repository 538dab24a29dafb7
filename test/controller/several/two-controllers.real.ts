/** Two controllers on one database and one storage are one to everybody. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { OpenController } from "../../../controller/controller.ts";
import { SharedLiveLogs } from "../../../controller/files/shared-live-logs.ts";
import { startServer } from "../../../controller/server.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";
import { patienceMs } from "../../fixtures/patience.ts";
import { noPostgres, startPostgres } from "../database/postgres.ts";
import { readBuild, requestTask, sendLog, sendResult, submit } from "../farm.ts";
import { openOn } from "../in-process.ts";
import { until } from "../until.ts";

describe("two controllers on one database", { skip: noPostgres, timeout: patienceMs }, () => {
  const stack = new AsyncDisposableStack();
  let urls: string[];
  let controllers: OpenController[];
  let path: string;
  let database: string;
  before(async () => {
    ({ path } = stack.use(await temporaryDirectory("croft-test-several-")));
    ({ url: database } = stack.use(await startPostgres()));
    controllers = [];
    urls = [];
    for (let count = 0; count < 2; count++) {
      const controller = stack.use(await openOn(path, database, "listen: 127.0.0.1:0\n"));
      controllers.push(controller);
      urls.push(stack.use(await startServer(controller)).url);
    }
  });
  after(() => stack.disposeAsync());

  test("show what the other takes: events, live log, artifacts, result; either takes the rest of what the other began", async () => {
    const [one, other] = urls as [string, string];
    const events = await fetch(`${other}/api/v1/events`);
    const id = await submit(one);
    for await (const piece of events.body!) if (Buffer.from(piece).includes(`data: {"id":${id}}`)) break;
    const task = await requestTask(one);
    const elsewhere = { ...task, logUrl: task.logUrl!.replace(one, other) };
    assert.equal((await sendLog(task, 0, "first ")).status, 204);
    assert.equal((await sendLog(elsewhere, 6, "second\n")).status, 204);
    assert.equal((await sendLog(elsewhere, 0, "first second\n")).status, 204, "sent again");
    for (const url of urls)
      assert.equal(await (await fetch(`${url}/api/v1/builds/${id}/log`)).text(), "first second\n");
    const form = new FormData();
    form.append("session", task.session);
    form.append("sha256", createHash("sha256").update("content").digest("hex"));
    form.append("file", new Blob(["content"]), "a.txt");
    const upload = task.uploadUrls["artifact"]!.replace(one, other);
    assert.equal((await fetch(upload, { method: "POST", body: form })).status, 204);
    const result = { ...task, resultUrl: task.resultUrl!.replace(one, other) };
    assert.equal((await sendResult(result, "success", [["update", "success", "the log\n"]])).status, 204);
    for (const url of urls) {
      const log = await fetch(`${url}/api/v1/builds/${id}/log?operation=update`);
      assert.equal(await log.text(), "the log\n");
      const [artifact] = (await readBuild(url, id)).artifacts;
      assert.equal(await (await fetch(artifact!.url)).text(), "content");
    }
  });

  test("end at one what was given by the other", async () => {
    const [one, other] = urls as [string, string];
    const id = await submit(one);
    const task = await requestTask(one);
    const body = `: 1\nsession: ${task.session}\nphase: building\n`;
    const headers = { "content-type": "text/manifest", prefer: "wait=15" };
    const alive = fetch(`${one}/agent/alive`, { method: "POST", headers, body });
    assert.equal((await fetch(`${other}/api/v1/builds/${id}/cancel`, { method: "POST" })).status, 200);
    assert.match(await (await alive).text(), /state: cancelled/);
  });

  test("make a blob of a live log that is over, which reads as before, and goes with its build", async () => {
    const [controller] = controllers as [OpenController];
    const { liveLogs, database, retention } = controller;
    const id = await submit(urls[0]!);
    const task = await requestTask(urls[0]!);
    const [session] = await controller.sessions.of(id);
    await sendLog(task, 0, "a".repeat(100_000));
    await sendLog(task, 100_000, "b".repeat(100_000));
    await sendResult(task, "success");
    await database.query("update croft.sessions set ended_at = now() - interval '1 minute'");
    assert.ok(liveLogs instanceof SharedLiveLogs);
    await liveLogs.archive();
    assert.deepEqual(
      await database.query("select * from croft.live_log_chunks where session = $1", [session!.id]),
      [],
    );
    assert.equal((await liveLogs.read(session!.id, 99_999, 2)).toString(), "ab");
    assert.equal(await liveLogs.size(session!.id), 200_000);
    await database.query("update croft.blobs set used_at = now() - interval '2 hours'");
    assert.equal((await retention.prune()).blobs.bytes >= 200_000, false, "it is in use");
    await until(async () => (await liveLogs.read(session!.id, 0, 1)).toString() === "a", "the log");
  });

  test("refuse to start with a storage of their own, or that of another database", async () => {
    const own = join(path, "own");
    await mkdir(own);
    await assert.rejects(
      openOn(own, database),
      /Cannot use the storage .*: the controllers of this database have another one/,
    );
    await using server = await startPostgres();
    await assert.rejects(
      openOn(path, server.url),
      /Cannot use the storage .*: it belongs to the controllers of another database/,
    );
  });
});
