/** A controller whose bucket fails: what it answers, what is left, and what retention removes. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readdirSync } from "node:fs";
import { text } from "node:stream/consumers";
import { after, before, beforeEach, describe, test } from "node:test";
import type { OpenController } from "../../../controller/controller.ts";
import { startServer } from "../../../controller/server.ts";
import { startFaultyProxy, type FaultyProxy } from "../../fixtures/services/faulty-proxy.ts";
import { patienceMs } from "../../fixtures/patience.ts";
import { startS3Double, type S3Double } from "../../fixtures/services/s3-double.ts";
import { readBuild, requestTask, sendResult, submit, type ReceivedTask } from "../farm.ts";
import { openFarm } from "../in-process.ts";

describe("a controller whose bucket fails", { timeout: patienceMs }, () => {
  const stack = new AsyncDisposableStack();
  let double: S3Double;
  let proxy: FaultyProxy;
  let controller: OpenController;
  let url: string;
  before(async () => {
    double = stack.use(await startS3Double());
    proxy = stack.use(await startFaultyProxy(double.endpoint));
    const s3 = `s3: { endpoint: "${proxy.url}", access-key: key, secret-key: secret }`;
    const settings = ["listen: 127.0.0.1:0", `storage: s3://${double.bucket}/croft`, s3, ""];
    controller = stack.use(await openFarm("embedded", settings.join("\n")));
    ({ url } = stack.use(await startServer(controller)));
  });
  after(() => stack.disposeAsync());
  beforeEach(() => (proxy.fault = () => undefined));

  async function upload(task: ReceivedTask, content: string): Promise<Response> {
    const form = new FormData();
    form.append("session", task.session);
    form.append("sha256", createHash("sha256").update(content).digest("hex"));
    form.append("file", new Blob([content]), "a.txt");
    return await fetch(task.uploadUrls["artifact"]!, { method: "POST", body: form });
  }

  /** A build that has ended, with an artifact. */
  async function build(content: string): Promise<number> {
    const id = await submit(url);
    const task = await requestTask(url);
    assert.equal((await upload(task, content)).status, 204);
    assert.equal(
      (await sendResult(task, "success", [["update", "success", `log of ${content}`]])).status,
      204,
    );
    return id;
  }

  /** Digests in the bucket. */
  const stored = () =>
    [...double.objects.keys()].flatMap((key) => /^croft\/(..)\/(.{62})$/.exec(key)?.slice(1).join("") ?? []);

  async function referred(): Promise<string[]> {
    const rows = await controller.database.query<{ digest: string }>(
      "select log_digest as digest from croft.operations union select digest from croft.artifacts order by digest",
    );
    return rows.map(({ digest }) => digest);
  }

  async function age(): Promise<void> {
    await controller.database.query("update croft.builds set finished_at = finished_at - interval '2 hours'");
    await controller.database.query("update croft.blobs set used_at = used_at - interval '2 hours'");
  }

  test("refuses artifacts and results with the reason, keeps nothing half, and takes them when they are sent again", async () => {
    const id = await submit(url);
    const task = await requestTask(url);
    proxy.fault = ({ method }) => (method === "PUT" ? "busy" : undefined);
    for (const answer of [
      await upload(task, "one"),
      await sendResult(task, "success", [["update", "success", "x"]]),
    ]) {
      assert.equal(answer.status, 503);
      assert.match(
        await answer.text(),
        /Cannot store [0-9a-f]{12} in 's3:\/\/farm\/croft': SlowDown, status 503/,
      );
    }
    assert.equal((await readBuild(url, id)).state, "building");
    assert.deepEqual(readdirSync(controller.directory.incoming), []);
    proxy.fault = () => undefined;
    assert.equal((await upload(task, "one")).status, 204);
    assert.equal((await sendResult(task, "success", [["update", "success", "x"]])).status, 204);
    const [artifact] = (await readBuild(url, id)).artifacts;
    proxy.fault = ({ method }) => (method === "GET" ? "dropped" : undefined);
    const answer = await fetch(artifact!.url);
    assert.equal(answer.status, 503);
    assert.match(await answer.text(), /Cannot read /);
    proxy.fault = () => undefined;
    assert.equal(await (await fetch(artifact!.url)).text(), "one");
  });

  test("has old builds removed with what is theirs alone, however often removing fails in between", async () => {
    for (const content of ["first", "shared", "second", "shared", "last"]) await build(content);
    await age();
    let count = 0;
    proxy.fault = ({ method }) => (method === "DELETE" && ++count > 1 ? "busy" : undefined);
    await assert.rejects(controller.retention.prune({ builds: 2 }), /Cannot remove [0-9a-f]{12} in 's3:/);
    for (const digest of await referred()) await text(controller.blobs.read(digest));
    proxy.fault = () => undefined;
    await controller.retention.prune({ builds: 2 });
    assert.deepEqual(stored().sort(), await referred());
    const rows = await controller.database.query<{ digest: string }>(
      "select digest from croft.blobs order by digest",
    );
    assert.deepEqual(
      rows.map(({ digest }) => digest),
      stored().sort(),
    );
  });

  for (const [what, lateOnes] of [
    ["of which nothing was heard", Infinity],
    ["that was asked for twice", 1],
  ] as const)
    test(`a removal ${what} takes nothing away that was stored anew when it is carried out late`, async () => {
      const { database, blobs, retention } = controller;
      const content = `removed late, ${what}`;
      const { digest } = await blobs.store(Buffer.from(content));
      await age();
      let count = 0;
      proxy.fault = ({ method, path }) =>
        method === "DELETE" && path.includes(digest.slice(2)) && ++count <= lateOnes ? "late" : undefined;
      const pruned = retention.prune();
      if (lateOnes === 1) await pruned;
      else await assert.rejects(pruned, /Cannot remove [0-9a-f]{12} in 's3:/);
      proxy.fault = () => undefined;
      await blobs.store(Buffer.from(content));
      assert.ok((await proxy.catchUp()) > 0);
      assert.equal(await text(blobs.read(digest)), content);
      await retention.prune();
      assert.equal(await text(blobs.read(digest)), content);
      const keys = () => [...double.objects.keys()].filter((key) => key.includes(digest.slice(2)));
      assert.equal(keys().length, 1);
      // By the next day none of them is on its way any more, and the name may be used again.
      const removals = async () =>
        (await database.query("select from croft.removals where digest = $1", [digest])).length;
      assert.equal(await removals(), 1);
      await database.query("update croft.removals set began_at = began_at - interval '25 hours'");
      await retention.prune();
      assert.deepEqual([await removals(), keys().length], [0, 1]);
      await age();
      await retention.prune();
      assert.deepEqual([await removals(), keys().length], [0, 0]);
    });

  test("what lies in the bucket under an earlier name of the same content is removed", async () => {
    const { database, blobs, retention } = controller;
    const { digest } = await blobs.store(Buffer.from("stored twice"));
    const key = [...double.objects.keys()].find((one) => one.includes(digest.slice(2)))!;
    const changedAt = new Date(Date.now() - 2 * 3_600_000);
    double.objects.set(`${key}.3`, { content: Buffer.from("stored twice"), changedAt });
    await retention.prune(); // finds it
    await retention.prune();
    assert.deepEqual([double.objects.has(key), double.objects.has(`${key}.3`)], [true, false]);
    assert.equal((await database.query("select from croft.removals")).length, 0);
  });

  test("answers everything else at once while the bucket stands still", async () => {
    proxy.fault = () => "stalled";
    const results: Promise<unknown>[] = [];
    for (let count = 0; count < 15; count++) {
      await submit(url);
      results.push(
        sendResult(await requestTask(url), "success", [["update", "success", `stalled ${count}`]]),
      );
    }
    const id = await submit(url);
    assert.equal((await readBuild(url, id)).state, "queued");
    assert.equal((await fetch(`${url}/readyz`)).status, 200);
    void Promise.allSettled(results); // they are left
  });
});
