/** Has a machine perform a task: boots it, waits for what it sends, and decides what came of it. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { attempt, reasonOf } from "../../os/failure.ts";
import type { Log } from "../../os/log.ts";
import { withoutUndefined } from "../../os/without-undefined.ts";
import { macOfCopy } from "../../machines/copies.ts";
import type { MachinePaths } from "../../machines/layout.ts";
import type { MachineLock } from "../../machines/locks.ts";
import type { PublicScreen } from "../../machines/virtual-machine.ts";
import type { BootstrappedMachine } from "../../manifests/bootstrapped-machine.ts";
import { agentOperation, machineOperation, type Result } from "../../manifests/result.ts";
import { formatSections } from "../../manifests/sections.ts";
import { taskEntries, type Task } from "../../manifests/task.ts";
import { ownerOf } from "../caches/layout.ts";
import { lendCaches, noCaches, type LentCaches } from "../caches/lend.ts";
import { boot, randomMac, type Booted, type SavedMachine } from "./boot.ts";
import { isBoosted, resourcesFor } from "./boost.ts";
import type { PerformingContext } from "./context.ts";
import { keepEvidence } from "./evidence.ts";
import type { AuxiliaryMachine } from "./group/auxiliary-machine.ts";
import { MemberEnded, startGroup, type Group, type GroupFailure } from "./group/group.ts";
import { Exchange, type WaitResult } from "./exchange.ts";
import { publicScreen, withLogin } from "./interactive.ts";
import type { LiveLog } from "./live-log.ts";
import { LogTail } from "./log-tail.ts";
import { assertRoom } from "./room.ts";
import { findSaved } from "./save-machine.ts";
import { anyone } from "../tftp/requesters.ts";
import type { ReceivedTask } from "../task-state/received-task.ts";
import { agentResult, resultFiles, withOperation } from "../results/result.ts";
import type { Interruption } from "../task-state/interruption.ts";
import { assertNone, fetchSecrets } from "./handing/secrets.ts";
import { provideTree } from "./handing/tree.ts";
import { softFail, type Held } from "./soft-fail.ts";
import type { SpoolEntry } from "../task-state/spool.ts";
import { takeUploads } from "../results/uploads.ts";
import type { Settings } from "../settings/settings.ts";
import { snapshotMaker } from "./task-snapshot.ts";

/** A machine that this process has locked for the task. */
export interface TaskMachine {
  paths: MachinePaths;
  bootstrapped: BootstrappedMachine;
  /** Disposed of as soon as the machine is not needed any more: others may wait for it. */
  lock: Pick<MachineLock, "truncate"> & Disposable;
  /** What the task needs besides, locked as well; `lock` is that of all, and this one the build machine's own. */
  group?: { machines: readonly AuxiliaryMachine[]; lock: Disposable };
}

/** A task that is performed now. */
export interface TaskRun {
  received: ReceivedTask;
  task: Task;
  machine: TaskMachine;
  entry: SpoolEntry;
  log: Log;
  live: LiveLog | undefined;
  interruption: Interruption;
  /** Lasts until the machine's first sign of life. */
  starting: Disposable;
}

/** What came of the machine. */
export interface Outcome {
  result: Result;
  /** The machine is held for the operator; disposing of it ends it. */
  held?: Held & AsyncDisposable;
  /** A fault of the farm, not of the build. */
  fault?: boolean;
  /** Fulfilled, never rejected, once the machine is gone; a task without one needs no waiting. */
  gone?: Promise<void>;
  /** Nobody waits for the result. */
  isUnwanted?: boolean;
}

/**
 * Performs a task on its machine, which may still be on its way out when the outcome is there.
 *
 * @throws {Failure} for a fault of the farm itself; the interruption's reason if interrupted. The machine is gone then.
 */
export async function buildOnMachine(context: PerformingContext, run: TaskRun): Promise<Outcome> {
  const stack = new AsyncDisposableStack();
  // What cannot be cleaned up is told, and does not change the outcome.
  const cleanUp = async () => {
    using _cleaning = context.phases.time("clean-up");
    await stack
      .disposeAsync()
      .catch((error: unknown) => run.log.error({ reason: reasonOf(error) }, "machine not cleaned up"));
  };
  try {
    const { held, ...outcome } = await useMachine(context, run, stack);
    if (held) return { ...outcome, held: { ...held, [Symbol.asyncDispose]: cleanUp } };
    return { ...outcome, gone: cleanUp() };
  } catch (error) {
    await cleanUp();
    throw error;
  }
}

interface Used {
  result: Result;
  held?: Held | undefined;
  fault?: boolean;
}

async function useMachine(
  context: PerformingContext,
  run: TaskRun,
  stack: AsyncDisposableStack,
): Promise<Used> {
  const { task, log, interruption } = run;
  const tail = new LogTail();
  const onLog = (chunk: Buffer) => {
    tail.write(chunk);
    run.live?.write(chunk);
  };
  const group = await groupOf(context, run, stack);
  if (group && "reason" in group) {
    interruption[Symbol.dispose]();
    return { result: agentResult(task, "abort", machineOperation, group.reason), held: group.held };
  }
  const started = await startMachine(context, run, stack, { onLog, group });
  if (!("exchange" in started))
    return aborted(task, `the machine ended before its first sign of life: ${started.end.detail}`, tail);
  const { exchange } = started;
  if ("failed" in started) {
    interruption[Symbol.dispose]();
    const held = await machineFailed(context, run, exchange, { reason: started.reason });
    return { ...aborted(task, `the machine did not come up: ${started.reason}`, tail), held };
  }
  run.starting[Symbol.dispose]();
  log.milestone("machine is up");
  context.status.advance("building");
  const waited = await waitForResult(context, run, exchange, group).catch((error: unknown) => {
    if (error instanceof MemberEnded) return error;
    throw error;
  });
  // From here on the result counts, or the machine is evidence: whoever needs it waits for the lock.
  interruption[Symbol.dispose]();
  if (waited instanceof MemberEnded) return aborted(task, waited.message, tail);
  if (waited.kind !== "done") return unfinished(context, run, exchange, waited, tail);
  context.status.advance("extracting");
  await exchange.tftp.close(); // what is looked at now must not change any more
  const parsing = context.phases.time("parse");
  const uploaded = await takeUploads(context, run.entry, task, log);
  parsing[Symbol.dispose]();
  if (uploaded === undefined)
    return { result: agentResult(task, "abnormal", machineOperation, "the result vanished") };
  const { result, broken, fault } = uploaded;
  if (mayKeepCaches(run.received, result) && !fault) started.caches.keep();
  if (fault) {
    log.error({ reason: fault.message }, "artifacts not taken by a fault of the farm");
    return { result: withOperation(result, agentOperation, "abort", fault.message), fault: true };
  }
  if (result.status !== "abnormal") return { result };
  const reason = "the result is abnormal";
  return { result, held: await machineFailed(context, run, exchange, { reason, ...broken }) };
}

/** What a stranger's build leaves, or one that has failed, nobody else is to find. */
function mayKeepCaches({ isTrusted }: ReceivedTask, { status }: Result): boolean {
  return isTrusted === true && (status === "success" || status === "warning");
}

/** The auxiliary machines of the task; undefined if it has none. */
async function groupOf(
  context: PerformingContext,
  { machine, received, log, interruption }: TaskRun,
  stack: AsyncDisposableStack,
): Promise<Group | GroupFailure | undefined> {
  if (machine.group === undefined) return undefined;
  await context.ahead.discard(); // their memory is counted without it
  const { mayHold } = received;
  return await startGroup(context, { ...machine.group, mayHold, log }, stack, interruption.signal);
}

async function waitForResult(
  context: PerformingContext,
  run: TaskRun,
  exchange: Exchange,
  group: Group | undefined,
): Promise<WaitResult> {
  const building = context.phases.time("build");
  using timers = new DisposableStack();
  timers.use(building);
  const onUpload = ({ method }: { method: string }) => {
    if (method !== "put") return;
    exchange.tftp.off("request", onUpload);
    building[Symbol.dispose]();
    timers.use(context.phases.time("upload"));
  };
  exchange.tftp.on("request", onUpload);
  timers.defer(() => exchange.tftp.off("request", onUpload));
  const signals = [run.interruption.signal, ...(group ? [group.ended] : [])];
  return await exchange.waitForUpload(
    resultFiles,
    timeoutSeconds(context, run),
    signals.length > 1 ? AbortSignal.any(signals) : signals[0]!,
  );
}

/** A person may take longer than a build, but neither longer than the controller waits. */
function timeoutSeconds(context: PerformingContext, run: TaskRun): number {
  return Math.min(ownTimeoutSeconds(context, run), run.received.timeoutSeconds ?? Infinity);
}

function ownTimeoutSeconds({ settings }: PerformingContext, { task }: TaskRun): number {
  return task.interactive === undefined ? settings.buildTimeoutSeconds : settings.interactiveTimeoutSeconds;
}

function machineFailed(
  context: PerformingContext,
  { task, received, machine: { lock }, log }: TaskRun,
  exchange: Exchange,
  why: { reason: string; files?: readonly string[] },
): Promise<Held | undefined> {
  const { mayHold } = received;
  const failed = { name: task.machine, exchange, lock, log, ...withoutUndefined({ mayHold }), ...why };
  return softFail(context, failed, "machine failed");
}

function aborted(task: Task, reason: string, tail: LogTail): { result: Result } {
  return { result: agentResult(task, "abort", machineOperation, reason + tail.quote()) };
}

async function startMachine(
  context: PerformingContext,
  run: TaskRun,
  stack: AsyncDisposableStack,
  { onLog, group }: { onLog: (chunk: Buffer) => void; group: Group | undefined },
): Promise<Booted & { caches: LentCaches }> {
  const { settings, directories } = context;
  const { machine, log, interruption } = run;
  const common = { readable: directories.get, writable: directories.put, log };
  const screen = publicScreen(context, run.task);
  const secrets = await fetchSecrets(context, run.received, interruption.signal);
  await provideTree(context, run.received, log, interruption.signal);
  await provideTask(context, withEnvironment(run.task, group), screen, secrets !== undefined);
  if (settings.fakeMachine !== undefined) {
    assertNone(secrets, run.task.machine);
    const server = {
      address: "127.0.0.1",
      port: settings.tftpPort,
      uploadMaxBytes: settings.uploadMaxBytes,
      held: context.tftpPort,
    };
    log.warn("fake machine: whoever is on this host may read the task and send its result");
    const exchange = stack.use(await Exchange.start({ ...common, ...server, requesters: anyone }));
    return { exchange, caches: noCaches };
  }
  const { machine: manifest } = machine.bootstrapped;
  const resources = resourcesFor(run.received.controller.priority, settings);
  const caches = stack.use(await cachesFor(settings, run));
  const booted = await boot({
    ...common,
    settings: { ...settings, ...resources },
    startMachine: context.startMachine,
    phases: context.phases,
    tftpPort: context.tftpPort,
    machine: manifest,
    mac: macFor(settings.network, machine),
    snapshot: snapshotMaker(context, run, stack),
    ...withoutUndefined({ saved: await savedMachine(context, run, stack) }),
    startupTimeoutSeconds: settings.startupTimeoutSeconds.build,
    retries: settings.buildRetries,
    evidence: directories.evidence,
    extraDisks: caches.disks,
    ...withoutUndefined({ publicScreen: screen, group: group?.port, secrets }),
    onLog,
    signal: interruption.signal,
  });
  if ("exchange" in booted) stack.use(booted.exchange);
  return { ...booted, caches };
}

/** Clones of the caches of a task's repository; none for a machine that brings all its devices itself. */
async function cachesFor(settings: Settings, run: TaskRun): Promise<LentCaches> {
  const { machine, received, task, log, interruption } = run;
  if ((machine.bootstrapped.machine.options ?? []).length > 0) return noCaches;
  return lendCaches(settings, ownerOf(task, received.secretsUrl !== undefined), log, interruption.signal);
}

/** On a bridge each copy has its own; else each has a network of its own, and stays what was bootstrapped and saved. */
function macFor(network: Settings["network"], { paths, bootstrapped }: TaskMachine): string {
  const { mac } = bootstrapped.machine;
  if (mac === undefined) return randomMac();
  return network.kind === "bridge" ? macOfCopy(mac, paths.copy) : mac;
}

/** The task with what its auxiliary machines tell the build. */
function withEnvironment(task: Task, group: Group | undefined): Task {
  if (!group || group.environment === "") return task;
  return { ...task, auxiliaryEnvironments: { "": group.environment } };
}

/** The task as the machine reads it. */
async function provideTask(
  context: PerformingContext,
  task: Task,
  screen: PublicScreen | undefined,
  hasSecrets: boolean,
): Promise<void> {
  const entries = taskEntries(withLogin(context, task, screen));
  // Only that there are some: where the worker finds them it knows (worker/guest/parts/63-secrets.sh).
  if (hasSecrets) entries.push(["secrets", "given"]);
  const text = formatSections([entries]);
  await attempt("write the task", writeFile(join(context.directories.get, "task.manifest"), text));
}

/** What the machine is restored from; undefined if it is to be booted. */
async function savedMachine(
  context: PerformingContext,
  run: TaskRun,
  stack: AsyncDisposableStack,
): Promise<SavedMachine | undefined> {
  const { settings } = context;
  const { machine, task } = run;
  // A person's screen is given to it when it starts; a boosted one is a larger one.
  const mayBe = task.interactive === undefined && !isBoosted(run.received.controller.priority);
  const found = mayBe
    ? findSaved(settings, run, (disks) => snapshotMaker(context, run, stack, disks))
    : undefined;
  if (found === undefined) {
    await context.ahead.discard(); // two do not run at once
    return undefined;
  }
  const ahead = await context.ahead.take(context, machine.paths, found.state);
  stack.use(ahead?.snapshot);
  return { ...found, ahead };
}

/** The machine ended, or took too long. */
async function unfinished(
  context: PerformingContext,
  run: TaskRun,
  exchange: Exchange,
  waited: WaitResult & { kind: "ended" | "timeout" },
  tail: LogTail,
): Promise<Used> {
  const { task, log } = run;
  if (waited.kind === "ended") {
    // A panic is told on the console alone, whose file the next boot truncates.
    const files = exchange.machine ? [exchange.machine.consoleFile] : [];
    const evidence = await keepEvidence(context.directories.evidence, task.machine, files, log);
    log.error({ end: waited.end.detail, evidence }, "machine ended before its result");
    assertRoom(task.machine, waited.end);
    return aborted(task, `the machine ended before its result: ${waited.end.detail}`, tail);
  }
  const seconds = timeoutSeconds(context, run);
  // Nothing is wrong with the machine of somebody who went to lunch, nor with one whose build is given less time.
  const isInteractive = task.interactive !== undefined;
  const isTargets = !isInteractive && seconds < ownTimeoutSeconds(context, run);
  const reason = `no result within ${seconds} s${isTargets ? ", the time that its target gives it" : ""}`;
  if (isInteractive || isTargets)
    log.warn({ reason }, `${isInteractive ? "interactive build" : "build"} has taken too long`);
  const mayHold = !isInteractive && !isTargets;
  const held = mayHold ? await machineFailed(context, run, exchange, { reason }) : undefined;
  return { ...aborted(task, reason, tail), held };
}
