/** What becomes of a result that a controller does not take. */
import assert from "node:assert/strict";
import { readdir, readFile, utimes } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { Delivery } from "../../../agent/results/delivery.ts";
import { makeSettings } from "../settings/make-settings.ts";
import { Spool } from "../../../agent/task-state/spool.ts";
import { HttpClient } from "../../../agent/wire/http.ts";
import { silentLog } from "../../../os/log.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";
import { FakeController } from "../fake-controller.ts";

/** A spool with one result, decided so many hours ago, and a controller that answers with a status. */
async function spooled(status: number, hours = 0) {
  const stack = new AsyncDisposableStack();
  const { path } = stack.use(await temporaryDirectory("croft-test-delivery-"));
  const controller = stack.use(await FakeController.start());
  controller.answer = () => ({ status, body: "so it is\n", headers: { "content-type": "text/plain" } });
  const spool = await Spool.open(join(path, "spool"));
  const url = controller.url("/result");
  const entry = await spool.begin({ session: "s", resultUrl: url, uploadUrls: {}, task: "" });
  await entry.setResult(Buffer.from(": 1\nsession: s\n"));
  const decided = Date.now() / 1000 - hours * 3600;
  await utimes(join(entry.directory, "result.manifest"), decided, decided);
  const client = new HttpClient({ ...makeSettings({}, [url]), requestRetries: 0, agent: "test" });
  const delivery = new Delivery(client, spool, silentLog());
  return Object.assign(stack, { spool, entry, controller, delivery });
}

const never = new AbortController().signal;

for (const status of [429, 500, 503])
  test(`a result that is answered with ${status} stays in the spool`, async () => {
    await using on = await spooled(status);
    await on.delivery.sendDue(never);
    assert.equal(on.controller.received.length, 1);
    assert.deepEqual(await readdir(on.spool.directory), [on.entry.name]);
  });

for (const status of [400, 403, 410])
  test(`a result that is refused with ${status} is kept aside with the answer`, async () => {
    await using on = await spooled(status);
    await on.delivery.sendDue(never);
    assert.deepEqual(await readdir(on.spool.directory), ["rejected"]);
    const answer = join(on.spool.directory, "rejected", on.entry.name, "answer");
    assert.match(await readFile(answer, "utf8"), new RegExp(`^${status}\nso it is\n`));
  });

test("a result that is accepted leaves the spool", async () => {
  await using on = await spooled(204);
  await on.delivery.sendDue(never);
  assert.deepEqual(await readdir(on.spool.directory), []);
});

test("a result is sent for 7 days, less an hour; an hour later it is kept aside, and not sent any more", async () => {
  for (const [hours, sent, left] of [
    [7 * 24 - 1, 1, "entry"],
    [7 * 24 + 1, 0, "rejected"],
  ] as const) {
    await using on = await spooled(503, hours);
    await on.delivery.sendDue(never);
    assert.equal(on.controller.received.length, sent);
    assert.deepEqual(await readdir(on.spool.directory), [left === "entry" ? on.entry.name : left]);
  }
});
