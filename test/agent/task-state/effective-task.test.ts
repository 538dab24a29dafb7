import assert from "node:assert/strict";
import { test } from "node:test";
import { resultRequest } from "../../../agent/results/record-result.ts";
import { agentChecksum, effectiveTask } from "../../../agent/task-state/begin-task.ts";
import type { ReceivedTask } from "../../../agent/task-state/received-task.ts";
import { croftChecksum } from "../../../manifests/result.ts";
import { parseResultRequest } from "../../../manifests/result-request.ts";
import type { Task } from "../../../manifests/task.ts";

const task = { name: "hello", version: "1.0", trust: ["no"], workerChecksum: "w1" } as Task;
const received = (checksum?: string): ReceivedTask => ({
  controller: { url: "http://a", priority: 0 },
  response: {
    session: "s",
    uploadUrls: {},
    task,
    ...(checksum === undefined ? {} : { agentChecksum: checksum }),
  },
  task,
});

test("the worker may skip only what this agent's logic has built before", () => {
  assert.equal(effectiveTask(received(agentChecksum), []).workerChecksum, "w1");
  assert.equal(effectiveTask(received("another"), []).workerChecksum, undefined);
  assert.equal(effectiveTask(received(), []).workerChecksum, undefined);
});

test("the operator's trust replaces all values of the task; without it they stay", () => {
  assert.deepEqual(effectiveTask(received(), []).trust, ["no"]);
  assert.deepEqual(effectiveTask(received(), ["yes"]).trust, ["yes"]);
  assert.deepEqual(task.trust, ["no"], "the received task stays as it is");
});

test("the controller is told the agent's checksum with each result", () => {
  const result = { name: "hello", version: "1.0", status: "success", operations: [] } as const;
  const parsed = parseResultRequest(
    Buffer.concat([...resultRequest({ session: "s", answer: "QQ==" }, { ...result, operations: [] })]),
  );
  assert.equal(parsed.agentChecksum, agentChecksum);
  assert.equal(parsed.challenge, "QQ==");
});

test("a controller can tell by the checksum that the agent is one of croft's", () => {
  assert.match(agentChecksum, croftChecksum);
});
