/** The machine that a task was given for is the one that was offered, also when a task had to give way for it. */
import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { test } from "node:test";
import { acquireMachine } from "../../../agent/asking/acquire-machine.ts";
import type { ReceivedTask } from "../../../agent/task-state/received-task.ts";
import { Failure } from "../../../os/failure.ts";
import { Backoff } from "../../../os/backoff.ts";
import { manifestPath } from "../../../machines/layout.ts";
import { parseTask } from "../../../manifests/task.ts";
import { agentDouble } from "../performing/machine-double.ts";
import { task as taskText } from "../running-agent.ts";
import { holdTask } from "./task-holder.ts";

/** Claims a machine whose task gives way, after something is done with the machine. */
async function claim(meanwhile: (manifest: string) => Promise<void>, hasRoom = true) {
  await using agent = await agentDouble(() => {}, { instanceMax: 1 });
  const { farm, context } = agent;
  await farm.bootstrapAll();
  const paths = farm.paths("m");
  if (!hasRoom) context.spool.begin = () => Promise.reject(new Failure("write the task", "no space left"));
  await using holder = await holdTask(paths, farm.directory, 12);
  const task = parseTask(Buffer.from(`: 1\n${taskText}`));
  const received: ReceivedTask = {
    controller: { url: "http://127.0.0.1:1/task", priority: 1000 },
    response: { session: "s", uploadUrls: {}, task },
    task,
  };
  const changes = { instanceMax: 1 };
  return await farm.enumerate(async (enumeration, toolchainLock) => {
    const [machine] = enumeration.machines;
    assert.ok(machine?.state === "held");
    const claimed = acquireMachine({
      ...{ context, toolchainLock, enumeration, received, machine },
      enumerationContext: farm.context(changes),
      interruptionBackoff: new Backoff<string>(600),
      signal: new AbortController().signal,
    });
    if (!hasRoom) return await claimed;
    await holder.until("SIGUSR1");
    const { phase, task: about, reason } = context.status.activity;
    assert.deepEqual([phase, about, reason], ["interrupting", "hello/1.0", "1 of lower priority"]);
    await meanwhile(manifestPath(paths.bootstrapped));
    await holder.tell("release");
    const result = await claimed;
    if ("machine" in result) result.machine.lock[Symbol.dispose]();
    return result;
  }, changes);
}

test("a machine whose task has given way is the task's, if it is still the one that was offered", async () => {
  const result = await claim(() => Promise.resolve());
  assert.ok("machine" in result, JSON.stringify(result));
  assert.equal(result.machine.manifest.machine.id, "m-1.1");
  assert.equal(result.begun?.assignment.session, "s", "it was written down before the first signal");
});

test("a machine with another id than was offered is not taken for the task", async () => {
  const result = await claim(async (manifest) => {
    const text = await readFile(manifest, "utf8");
    await writeFile(manifest, text.replace("m-1.1", "m-1.2"));
    const revision = manifest.replace("m-gcc/manifest", "m-1.1/manifest");
    await writeFile(revision, (await readFile(revision, "utf8")).replace("m-1.1", "m-1.2"));
  });
  assert.ok("status" in result, "it is taken");
  assert.deepEqual([result.status, result.reason], ["interrupt", "the machine is another than was offered"]);
});

test("a task that cannot be written down before others give way is a fault of this host, and nobody is interrupted", async () => {
  const result = await claim(() => assert.fail("a task is interrupted"), false);
  assert.deepEqual(result, { status: "abort", reason: "Cannot write the task: no space left" });
});
