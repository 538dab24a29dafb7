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

/** Lets pass what is not a matter of time. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
}

test("it is tried again after 1, 2, 4… seconds; meanwhile earlier results are sent, and the reason is shown", async () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  try {
    const { seen, done, status } = failing(3);
    const result = done();
    for (const seconds of [1, 2, 4]) {
      await settled();
      assert.equal(seen.at(-1), "sent");
      assert.equal(status.activity.phase, "pausing");
      assert.equal(status.activity.reason, "Cannot write it: no space left on device");
      const before = seen.length;
      mock.timers.tick(seconds * 1000 - 1);
      await settled();
      assert.equal(seen.length, before, `not before ${seconds} s`);
      mock.timers.tick(1);
    }
    assert.equal(await result, 4);
    assert.deepEqual(seen, ["recording", "sent", "recording", "sent", "recording", "sent", "recording"]);
  } finally {
    mock.timers.reset();
  }
});

test("the end of the agent ends the trying, at once", async () => {
  const { stop, seen, done } = failing(Infinity);
  const result = done();
  await settled();
  stop.abort(new Error("asked to end"));
  await assert.rejects(result, /asked to end/);
  assert.deepEqual(seen, ["recording", "sent"]);
});

test("that earlier results cannot be sent is no reason to give up; a bug is, in whatever it comes", async () => {
  const { stop, context, seen, done } = failing(Infinity);
  context.delivery.sendDue = () => Promise.reject(new Failure("read the spool", "it is broken"));
  const result = done();
  await settled();
  stop.abort(new Error("asked to end"));
  await assert.rejects(result, /asked to end/);
  assert.deepEqual(seen, ["recording"]);
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
  mock.timers.enable({ apis: ["setTimeout"] });
  try {
    const full = mock.method(entry, "setResult", () => Promise.reject(new Failure("write it", "full")), {
      times: 1,
    });
    const written = recordResult(failing(0).context, entry, result, log);
    while (full.mock.callCount() === 0) await settled();
    await settled();
    mock.timers.tick(1000);
    await written;
  } finally {
    mock.timers.reset();
  }
  const request = (await entry.result())!;
  assert.deepEqual(request, Buffer.from(resultRequest(entry.assignment, result)));
  const parsed = parseResultRequest(request);
  assert.deepEqual([parsed.session, parsed.challenge, parsed.agentChecksum], ["s7", "c2lnbmVk", "1"]);
  assert.deepEqual(parsed.result, result);
});
