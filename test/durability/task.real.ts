/** A task from its first word to its decided result: what the successor of an agent finds after a power cut. */
import { forEachRemains, record } from "./recorder.ts";
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { Header } from "tar";
import type { ReceivedTask } from "../../agent/task-state/received-task.ts";
import { directoriesOf } from "../../agent/settings/directories.ts";
import { recover } from "../../agent/performing/recovery.ts";
import { performTask } from "../../agent/performing/task.ts";
import { instanceName } from "../../agent/settings/settings.ts";
import { Spool } from "../../agent/task-state/spool.ts";
import { fakeMachineLock } from "../../machines/locks.ts";
import { parseResultRequest } from "../../manifests/result-request.ts";
import { parseTask } from "../../manifests/task.ts";
import { temporaryDirectory } from "../../os/files/temporary.ts";
import { agentDouble } from "../agent/performing/machine-double.ts";
import { resultText, task as taskText } from "../agent/running-agent.ts";
import { put } from "../agent/tftp/client.ts";

const artifact = "an artifact\n".repeat(50);

function archive(): Buffer {
  const head = Buffer.alloc(512);
  new Header({ path: "upload/artifact/a", type: "File", size: artifact.length, mode: 0o644 }).encode(head, 0);
  return Buffer.concat([head, Buffer.from(artifact.padEnd(1024, "\0")), Buffer.alloc(1024)]);
}

const parsed = parseTask(Buffer.from(`: 1\n${taskText}`));
const received: ReceivedTask = {
  controller: { url: "http://127.0.0.1:1/task", priority: 100 },
  response: { session: "s", uploadUrls: {}, task: parsed },
  task: parsed,
};

const placesIn = (path: string) => ({ spool: join(path, "spool"), tftp: join(path, "tftp") });

/** An agent whose machine does what a machine does; and what may be left of its directories. */
async function performed(path: string) {
  let tell = (_: string) => {};
  await using agent = await agentDouble(async (machine) => {
    await machine.askForTask();
    await put(machine.tftpPort, "upload.tar", archive());
    await put(machine.tftpPort, "result.manifest", Buffer.from(resultText()));
    tell("acknowledged");
  }, placesIn(path));
  await agent.farm.bootstrapAll();
  const bootstrapped = await agent.farm.enumerate((found) => {
    const [ready] = found.machines;
    assert.ok(ready?.state === "locked");
    return { paths: ready.paths, bootstrapped: ready.manifest, lock: fakeMachineLock(ready.paths) };
  });
  return await record(path, async (told) => {
    tell = told;
    const never = { signal: new AbortController().signal, [Symbol.dispose]: () => {} };
    const { result, entry, cleared } = await performTask(agent.context, received, bootstrapped, never);
    assert.equal(result.status, "success");
    assert.ok(entry);
    await cleared;
    told("performed");
  });
}

test("once a machine's uploads are acknowledged, the task has its result and artifacts whenever the power is cut", async () => {
  await using directory = await temporaryDirectory("croft-test-task-");
  const recording = await performed(directory.path);
  const seen = { interrupt: 0, success: 0 };
  await using agent = await agentDouble(() => {});
  await forEachRemains(recording, async (path, told) => {
    const settings = { ...agent.context.settings, ...placesIn(path), fakeMachine: "" };
    const spool = await Spool.open(join(settings.spool, instanceName(settings)));
    await recover({ ...agent.context, settings, spool, directories: directoriesOf(settings) });
    const [entry, ...others] = await spool.entries();
    assert.deepEqual(others, []);
    if (!entry) return void assert.ok(!told.has("acknowledged"));
    const { result } = parseResultRequest((await entry.result())!);
    if (result.status === "interrupt") seen.interrupt++;
    else seen.success++;
    assert.ok(result.status === "success" || (result.status === "interrupt" && !told.has("acknowledged")));
    if (!told.has("acknowledged")) return;
    assert.equal(readFileSync(join(entry.uploads, "artifact", "a"), "utf8"), artifact);
  });
  assert.ok(seen.interrupt > 5 && seen.success > 5, JSON.stringify(seen));
});
