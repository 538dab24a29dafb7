/** What a result depends on is tried until it works: the farm may mend, the build's result is all that is left of it. */
import assert from "node:assert/strict";
import { mock, test } from "node:test";
import type { Delivery } from "../../../agent/results/delivery.ts";
import { recordResult, resultRequest } from "../../../agent/results/record-result.ts";
import { agentResult } from "../../../agent/results/result.ts";
import { retryUntilDone } from "../../../agent/results/retry.ts";
import { Status } from "../../../agent/status/status.ts";
import { Spool } from "../../../agent/task-state/spool.ts";
import { parseResultRequest } from "../../../manifests/result-request.ts";
import { parseTask } from "../../../manifests/task.ts";
import { Failure } from "../../../os/failure.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";
import { silentLog } from "../../../os/log.ts";
import { holdPauses } from "../../fixtures/pauses.ts";
import { task as taskText } from "../running-agent.ts";

const log = silentLog();

/** Something to do that fails so often, in an agent that notes what it does meanwhile. */
function failing(times: number, error: Error = new Failure("write it", "no space left on device")) {
  const status = new Status(log, false);
  status.set("recording", { task: "hello/1.0" });
  const stop = new AbortController();
  const seen: string[] = [];
  const delivery: Pick<Delivery, "sendDue"> = { sendDue: () => Promise.resolve(void seen.push("sent")) };
  let calls = 0;
  const work = async () => {
    seen.push(`${status.activity.phase} ${status.activity.reason ?? ""}`.trim());
    if (calls++ < times) throw error;
    return calls;
  };
  const context = { status, delivery, stop: stop.signal };
  const done = () => retryUntilDone(context, log, "not done yet", work);
  return { status, stop, seen, context, done };
}

test("it is tried again after 1, 2, 4… seconds; meanwhile earlier results are sent, and the reason is shown", async () => {
  using pauses = holdPauses();
  const { seen, done, status } = failing(3);
  const result = done();
  for (const seconds of [1, 2, 4]) {
    const pause = await pauses.next();
    assert.equal(pause.milliseconds, seconds * 1000);
    assert.deepEqual(seen.splice(0), ["recording", "sent"]);
    const { phase, task, reason } = status.activity;
    assert.deepEqual(
      [phase, task, reason],
      ["pausing", "hello/1.0", "Cannot write it: no space left on device"],
    );
    pause.end();
  }
  assert.equal(await result, 4);
  assert.deepEqual(seen, ["recording"]);
});

test("the pauses grow to ten minutes", async () => {
  using pauses = holdPauses();
  const result = failing(13).done();
  const seconds = [];
  for (let failures = 0; failures < 13; failures++) {
    const pause = await pauses.next();
    seconds.push(pause.milliseconds / 1000);
    pause.end();
  }
  assert.deepEqual(seconds, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600, 600]);
  await result;
});

test("the end of the agent ends the trying, at once", async () => {
  using pauses = holdPauses();
  const { stop, seen, done } = failing(Infinity);
  const result = done();
  await pauses.next();
  stop.abort(new Error("asked to end"));
  await assert.rejects(result, /asked to end/);
  assert.deepEqual(seen, ["recording", "sent"]);
});

test("that earlier results cannot be sent is no reason to give up; a bug is, in whatever it comes", async () => {
  using pauses = holdPauses();
  const { context, seen, done } = failing(1);
  context.delivery.sendDue = () => Promise.reject(new Failure("read the spool", "it is broken"));
  const result = done();
  (await pauses.next()).end();
  assert.equal(await result, 2);
  assert.deepEqual(seen, ["recording", "recording"]);
  const bug = new TypeError("x is not a function");
  await assert.rejects(failing(1, bug).done(), (error) => error === bug);
  const other = failing(1);
  other.context.delivery.sendDue = () => Promise.reject(bug);
  await assert.rejects(other.done(), (error) => error === bug);
});

test("a result is written down as the request that its controller gets, and outlives a disk that was full", async () => {
  await using directory = await temporaryDirectory("croft-test-retry-");
  const spool = await Spool.open(directory.path);
  const task = parseTask(Buffer.from(`: 1\n${taskText}`));
  const result = agentResult(task, "abort", "agent", "it died");
  const entry = await spool.begin({ session: "s7", answer: "c2lnbmVk", uploadUrls: {}, task: "" });
  mock.method(entry, "setResult", () => Promise.reject(new Failure("write it", "full")), { times: 1 });
  {
    using pauses = holdPauses();
    const written = recordResult(failing(0).context, entry, result, log);
    (await pauses.next()).end();
    await written;
  }
  const request = (await entry.result())!;
  assert.deepEqual(request, Buffer.concat([...resultRequest(entry.assignment, result)]));
  const parsed = parseResultRequest(request);
  assert.deepEqual([parsed.session, parsed.challenge, parsed.agentChecksum], ["s7", "c2lnbmVk", "croft-1"]);
  assert.deepEqual(parsed.result, result);
});
