/** Tasks line by line (agent.md): every end that one may come to, in the order that the test says. */
import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { ReceivedTask } from "../../../agent/task-state/received-task.ts";
import type { Settings } from "../../../agent/settings/settings.ts";
import { performTask, type Performed } from "../../../agent/performing/task.ts";
import { parseTask } from "../../../manifests/task.ts";
import type { LockedMachine } from "../../../machines/enumeration/enumeration.ts";
import { agentDouble, type AgentDouble, type MachineDouble } from "./machine-double.ts";
import { resultText, task as taskText } from "../running-agent.ts";

type Play = (machine: MachineDouble, attempt: number) => Promise<void> | void;

interface Run extends AsyncDisposable {
  agent: AgentDouble;
  performed: Performed;
  machines: MachineDouble[];
  log: string;
  /** Whether the machine's lock can be had by others. */
  isFree: () => Promise<boolean>;
  /** SIGUSR1 counted until it was disposed of. */
  disarmed: boolean;
}

async function perform(
  play: Play,
  changes: Partial<Settings> = {},
  more = "",
  { login, ...told }: Partial<ReceivedTask> & { login?: string } = {},
  isCleared = true,
): Promise<Run> {
  const agent = await agentDouble(play, changes);
  await agent.farm.bootstrapAll();
  const task = parseTask(Buffer.from(`: 1\n${taskText}${more}`));
  const received: ReceivedTask = {
    controller: { url: "http://127.0.0.1:1/task", priority: 100 },
    response: { session: "s", uploadUrls: {}, task },
    task,
    ...told,
  };
  const machine = await agent.farm.enumerate((found, toolchainLock) => {
    const ours = found.machines.find(({ state }) => state === "locked") as LockedMachine;
    ours.lock.write(toolchainLock, 100);
    return { paths: ours.paths, bootstrapped: ours.manifest, lock: found.take(ours) };
  });
  let disarmed = false;
  const interruption = {
    signal: new AbortController().signal,
    [Symbol.dispose]: () => {
      disarmed = true;
    },
  };
  const performed = await performTask({ ...agent.context, login }, received, machine, interruption);
  if (isCleared) await performed.cleared;
  const isFree = () =>
    agent.farm.enumerate((found) => found.machines.some(({ state }) => state === "locked"));
  const log = performed.result.operations.map((operation) => operation.log).join("");
  const dispose = async () => {
    await performed.held?.[Symbol.asyncDispose]();
    machine.lock[Symbol.dispose]();
    await agent[Symbol.asyncDispose]();
  };
  return {
    agent,
    performed,
    machines: agent.machines,
    log,
    isFree,
    disarmed,
    [Symbol.asyncDispose]: dispose,
  };
}

const begins = async (machine: MachineDouble) => void (await machine.askForTask());

/** Where the agent has its machine's uploads. */
const putOf = (machine: MachineDouble) =>
  join(machine.options.runtimeDirectory, "..", "..", "tftp", "build", "gcc-1", "put");

test("a result that arrives while the machine runs: it is forced down, and its lock is free", async () => {
  await using run = await perform(async (machine) => {
    await begins(machine);
    await machine.upload("result.manifest", resultText());
  });
  assert.equal(run.performed.result.status, "success");
  assert.deepEqual([run.machines[0]!.calls, run.performed.held, run.disarmed], [["gone"], undefined, true]);
  assert.equal(await run.isFree(), true);
});

test("a result is written down while its machine is on its way out, and the lock is free once that is gone", async () => {
  const away = Promise.withResolvers<void>();
  const play: Play = async (machine) => {
    const goes = machine.forceDown.bind(machine);
    machine.forceDown = () => away.promise.then(goes);
    await begins(machine);
    await machine.upload("result.manifest", resultText());
  };
  await using run = await perform(play, {}, "", {}, false);
  const { performed } = run;
  assert.equal(await performed.entry!.isDecided(), true);
  assert.equal(await run.isFree(), false);
  away.resolve();
  await performed.cleared;
  assert.equal(await run.isFree(), true);
  assert.deepEqual(await run.agent.farm.names("m"), ["m-1", "m-1.1", "m-gcc", "m-gcc.lock"]);
});

test("upload before exit, and exit seen before the upload: the result counts either way", async () => {
  await using before = await perform(async (machine) => {
    await begins(machine);
    await machine.upload("result.manifest", resultText("warning"));
    machine.end("shutdown");
  });
  assert.equal(before.performed.result.status, "warning");
  await using after = await perform(async (machine) => {
    await begins(machine);
    // The file is there, and nothing but the machine's end has been announced.
    writeFileSync(join(putOf(machine), "result.manifest"), resultText("warning"));
    machine.end("shutdown");
  });
  assert.equal(after.performed.result.status, "warning");
});

test("a machine that exits before its result: abort, and nothing to suspend", async () => {
  await using run = await perform(async (machine) => {
    await begins(machine);
    machine.end("panic");
  });
  assert.deepEqual([run.performed.result.status, run.performed.held], ["abort", undefined]);
  assert.match(run.log, /^the machine ended before its result: ended: panic/);
  const [told] = run.agent.farm.records("error");
  assert.equal(told!["msg"], "machine ended before its result");
  assert.equal(readFileSync(join(String(told!["evidence"]), "console.log"), "utf8"), "console\n");
  await using early = await perform((machine) => machine.end("exited"));
  assert.deepEqual([early.performed.result.status, early.machines.length], ["abort", 1]);
  assert.match(early.log, /^the machine ended before its first sign of life/);
});

test("a machine for whose disk the host has no room: a fault of the farm, before its first sign of life and after", async () => {
  for (const play of [begins, () => {}]) {
    await using run = await perform(async (machine) => {
      await play(machine);
      machine.end("room");
    });
    const { result, fault, held } = run.performed;
    assert.deepEqual([result.status, fault, held], ["abort", true, undefined]);
    assert.deepEqual(
      result.operations.map(({ name, log }) => [name, log]),
      [["agent", "Cannot go on with machine 'm': ended: room\n"]],
    );
    assert.deepEqual([run.machines.length, await run.isFree()], [1, true]);
  }
});

test("mis-boots get a fresh snapshot each; the last one is held, and the result is abort", async () => {
  await using run = await perform(() => {}, {
    startupTimeoutSeconds: { bootstrap: 5, build: 0.05 },
    buildRetries: 2,
  });
  assert.deepEqual(
    run.machines.map(({ calls }) => calls),
    [["gone"], ["gone"], ["suspend"]],
  );
  const snapshots = run.machines.map(({ options }) => options.directory);
  assert.equal(new Set(snapshots).size, 3);
  assert.deepEqual(snapshots.map(existsSync), [false, false, true]);
  assert.equal(run.performed.result.status, "abort");
  assert.match(run.log, /^the machine did not come up: no sign of life within 0.05 s, no retry left/);
  assert.equal(run.disarmed, true); // SIGUSR1 means nobody from here on
});

test("a timeout: the result is decided while the machine is held, and its lock with it, without a priority", async () => {
  await using run = await perform((machine) => machine.showSignOfLife(), {
    buildTimeoutSeconds: 0.1,
  });
  const { performed, machines } = run;
  assert.equal(performed.result.status, "abort");
  assert.match(run.log, /^no result within 0.1 s/);
  assert.equal(await performed.entry!.isDecided(), true);
  assert.deepEqual(machines[0]!.calls, ["suspend"]);
  assert.equal(readFileSync(run.agent.farm.paths("m").lock, "utf8"), String(process.pid));
  const waiting = performed.held!.untilEnded(new AbortController().signal);
  assert.equal(run.agent.context.status.activity.phase, "suspended");
  machines[0]!.end("exited");
  await waiting;
  await performed.held![Symbol.asyncDispose]();
  assert.deepEqual(machines[0]!.calls, ["suspend", "gone"]);
  assert.equal(await run.isFree(), true);
  assert.deepEqual(await run.agent.farm.names("m"), ["m-1", "m-1.1", "m-gcc", "m-gcc.lock"]);
});

test("an interactive task has a timeout of its own, and nothing is suspended when it is over", async () => {
  const login = "192.0.2.7:5901";
  let given = "";
  const seconds = { buildTimeoutSeconds: 0.01, interactiveTimeoutSeconds: 2 };
  const play: Play = async (machine) => {
    given = await machine.askForTask();
  };
  await using run = await perform(play, seconds, "interactive: test me@there\n", { login });
  assert.deepEqual([run.performed.result.status, run.performed.held], ["abort", undefined]);
  assert.match(run.log, /^no result within 2 s/);
  assert.deepEqual(run.machines[0]!.calls, ["gone"]);
  const { publicScreen } = run.machines[0]!.options;
  assert.match(publicScreen!.password, /^\S{8}$/);
  const { interactive } = parseTask(Buffer.from(given));
  assert.ok(
    interactive!.startsWith(
      `test me@there; or VNC to ${login} with password ${publicScreen!.password}; or as `,
    ),
    interactive,
  );
  assert.doesNotMatch(run.performed.entry!.assignment.task, new RegExp(publicScreen!.password));
});

test("an interactive task takes no longer than its controller waits, however long people get here", async () => {
  const told = { timeoutSeconds: 2 };
  const here = { interactiveTimeoutSeconds: 10_800 };
  await using run = await perform(begins, here, "interactive: test me@there\n", told);
  assert.match(run.log, /^no result within 2 s/);
  await using sooner = await perform(begins, { buildTimeoutSeconds: 0.2 }, "", { timeoutSeconds: 10_800 });
  assert.match(sooner.log, /^no result within 0.2 s/);
});

test("a build ends when the time is over that its target gives it, says so, and leaves its machine to others", async () => {
  await using run = await perform(begins, {}, "", { timeoutSeconds: 1 });
  assert.match(run.log, /^no result within 1 s, the time that its target gives it/);
  assert.deepEqual([run.performed.result.status, run.performed.held], ["abort", undefined]);
  assert.deepEqual(run.machines[0]!.calls, ["gone"]);
  assert.equal(await run.isFree(), true);
});

test("a build that has failed a machine before does not suspend another one: what is left of it is kept", async () => {
  const told = { mayHold: false } as const;
  for (const changes of [
    { buildTimeoutSeconds: 0.1 },
    { startupTimeoutSeconds: { bootstrap: 5, build: 0.05 }, buildRetries: 0 },
  ]) {
    const silent = "startupTimeoutSeconds" in changes;
    const play: Play = silent ? () => {} : (machine) => machine.showSignOfLife();
    await using run = await perform(play, changes, "", told);
    assert.deepEqual([run.performed.result.status, run.performed.held], ["abort", undefined]);
    assert.deepEqual(run.machines[0]!.calls, ["gone"]);
    assert.equal(await run.isFree(), true);
    const [failed] = run.agent.farm.records("error");
    assert.equal(readFileSync(join(String(failed!["evidence"]), "console.log"), "utf8"), "console\n");
  }
});

test("whose fault an abort is stands in its operation: the machine's, or the agent's for a fault of the farm", async () => {
  const operations = (run: Run) => run.performed.result.operations.map(({ name, status }) => [name, status]);
  await using machine = await perform((double) => double.end("exited"));
  assert.deepEqual(operations(machine), [["machine", "abort"]]);
  await using slow = await perform((double) => double.showSignOfLife(), { buildTimeoutSeconds: 0.1 });
  assert.deepEqual(operations(slow), [["machine", "abort"]]);
  await using farm = await perform(begins, { runtime: "/dev/null/run" });
  assert.deepEqual([operations(farm), farm.performed.fault], [[["agent", "abort"]], true]);
});

test("a result that is abnormal, or cannot be read: held as evidence; with --no-suspend, powered off", async () => {
  for (const text of [resultText("abnormal"), "nonsense\n"]) {
    const play: Play = async (machine) => {
      await begins(machine);
      await machine.upload("result.manifest", text);
    };
    await using held = await perform(play);
    assert.deepEqual([held.performed.result.status, held.machines[0]!.calls], ["abnormal", ["suspend"]]);
    await using off = await perform(play, { suspend: false });
    assert.deepEqual([off.performed.result.status, off.machines[0]!.calls], ["abnormal", ["gone"]]);
    assert.equal(off.performed.held, undefined);
  }
});

test("what cannot be suspended is powered off, and the result is sent all the same", async () => {
  await using run = await perform(
    async (machine) => {
      machine.suspend = () => {
        machine.end("exited"); // it dies of it
        return Promise.resolve();
      };
      await machine.showSignOfLife();
    },
    { buildTimeoutSeconds: 0.1 },
  );
  assert.deepEqual([run.performed.result.status, run.performed.held], ["abort", undefined]);
  assert.equal(await run.isFree(), true);
});
