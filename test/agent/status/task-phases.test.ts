/** Where the time of a task goes. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { TaskPhases, taskPhases, type TaskPhase } from "../../../agent/status/task-phases.ts";
import { performTask } from "../../../agent/performing/task.ts";
import type { LockedMachine } from "../../../machines/enumeration/enumeration.ts";
import { parseTask } from "../../../manifests/task.ts";
import { packageFile } from "../../../os/files/package.ts";
import { silentLog } from "../../../os/log.ts";
import { agentDouble } from "../performing/machine-double.ts";
import { resultText, task as taskText } from "../running-agent.ts";

test("what a phase takes several times is summed up, and a task knows nothing of the one before", () => {
  const observed: [TaskPhase, number][] = [];
  const phases = new TaskPhases((phase, seconds) => observed.push([phase, seconds]));
  phases.begin(performance.now() - 1000);
  phases.add("boot", 1500);
  phases.add("boot", 500);
  const timer = phases.time("qemu");
  timer[Symbol.dispose]();
  timer[Symbol.dispose]();
  phases.end(silentLog());
  const seconds = new Map(observed);
  assert.deepEqual([...seconds.keys()], ["wake-up", "qemu", "boot"]);
  assert.equal(seconds.get("boot"), 2);
  assert.ok(seconds.get("wake-up")! >= 1);
  observed.length = 0;
  phases.begin();
  phases.end(silentLog());
  assert.deepEqual(observed, []);
});

test("a task that is booted has its phases in the metrics", async () => {
  await using agent = await agentDouble(async (machine) => {
    await machine.askForTask();
    await machine.upload("result.manifest", resultText());
  });
  await agent.farm.bootstrapAll();
  const task = parseTask(Buffer.from(`: 1\n${taskText}`));
  const received = {
    controller: { url: "http://127.0.0.1:1/task", priority: 100 },
    response: { session: "s", uploadUrls: {}, task },
    task,
  };
  const machine = await agent.farm.enumerate((found, toolchainLock) => {
    const ours = found.machines.find(({ state }) => state === "locked") as LockedMachine;
    ours.lock.write(toolchainLock, 100);
    return { paths: ours.paths, bootstrapped: ours.manifest, lock: found.take(ours) };
  });
  const { phases, metrics } = agent.context;
  phases.begin();
  const interruption = { signal: new AbortController().signal, [Symbol.dispose]: () => {} };
  await (
    await performTask(agent.context, received, machine, interruption)
  ).cleared;
  phases.end(silentLog());
  const text = await metrics.registry.format();
  const counts = [...text.matchAll(/^croft_task_phase_seconds_count\{phase="(.*)"\} (\d+)$/gm)];
  assert.deepEqual(
    counts.map(([, phase, count]) => [phase, count]),
    ["start", "spool-entry", "snapshot", "boot", "build", "upload", "parse", "spool", "clean-up"].map(
      (phase) => [phase, "1"],
    ),
  );
});

test("the manual has every phase of a task", () => {
  const text = readFileSync(packageFile("docs/monitoring.md"), "utf8");
  const table = text.slice(text.indexOf("| phase of a task |"));
  for (const phase of taskPhases) assert.match(table, new RegExp(`^\\| \`${phase}\` \\|`, "m"));
});
