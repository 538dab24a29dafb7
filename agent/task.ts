/**
 * Performs one task: from the snapshot to the decided result in the spool.
 *
 * What holds after a crash: the assignment is in the spool before the machine starts, and the upload directory was
 * emptied before that. So an assignment without a result belongs to whatever lies in the upload directory: a
 * complete result there is the task's, and without one the task was interrupted.
 */
import { writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { syncDirectory } from "../host/durable.ts";
import { attempt, Failure, reasonOf } from "../host/failure.ts";
import type { Log } from "../host/log.ts";
import type { MachinePaths } from "../machines/layout.ts";
import { temporarySnapshot } from "../machines/temporary-snapshot.ts";
import type { BootstrappedMachine } from "../manifests/bootstrapped-machine.ts";
import type { Result } from "../manifests/result.ts";
import { formatResultRequest } from "../manifests/result-request.ts";
import { formatTask, type Task } from "../manifests/task.ts";
import { Backoff } from "./backoff.ts";
import { boot, randomMac } from "./boot.ts";
import { resourcesFor } from "./boost.ts";
import { agentChecksum, faultPauseMaxSeconds, Interrupted, type Context } from "./context.ts";
import { freshDirectories, removeDirectories } from "./directories.ts";
import { Exchange, type WaitResult } from "./exchange.ts";
import { LiveLog } from "./live-log.ts";
import { LogTail } from "./log-tail.ts";
import type { ReceivedTask } from "./polling.ts";
import { agentResult, resultFiles } from "./result.ts";
import type { Interruption } from "./signals.ts";
import { softFail } from "./soft-fail.ts";
import type { Assignment, SpoolEntry } from "./spool.ts";
import { takeUploads } from "./uploads.ts";

/** A machine that this process has locked for the task. */
export interface TaskMachine {
  paths: MachinePaths;
  bootstrapped: BootstrappedMachine;
  /** Disposed of as soon as the machine is not needed any more: others may wait for it. */
  lock: Disposable;
}

export interface Performed {
  result: Result;
  /** Where the result waits to be sent; undefined if the spool could not be written. */
  entry: SpoolEntry | undefined;
  /** A fault of the farm, not of the build: pause before the next task. */
  fault: boolean;
}

/** What came of the machine. */
interface Outcome {
  result: Result;
  fault?: boolean;
}

/** The task as the machine gets it: with the agent's own trust, and without a checksum of another agent's logic. */
export function effectiveTask(received: ReceivedTask, trust: readonly string[]): Task {
  const task = { ...received.task };
  if (trust.length > 0) task.trust = [...trust];
  if (received.response.agentChecksum !== agentChecksum) delete task.workerChecksum;
  return task;
}

/**
 * Performs a task on a machine and decides its result in the spool.
 *
 * @param interruption if its signal is aborted with {@link Interrupted}, the task gets the result `interrupt`;
 * disposed of as soon as the machine has sent its result.
 * @param begun if the task was begun already (see {@link beginTask}).
 */
export async function performTask(
  context: Context,
  received: ReceivedTask,
  machine: TaskMachine,
  interruption: Interruption,
  begun?: SpoolEntry,
): Promise<Performed> {
  const task = effectiveTask(received, context.settings.trust);
  const { session } = received.response;
  const log = context.log.child({ session, machine: task.machine, task: `${task.name}/${task.version}` });
  using lock = machine.lock;
  log.info({ controller: received.controller.url }, "task received");
  let entry: SpoolEntry;
  try {
    entry = begun ?? (await beginTask(context, received));
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    log.error({ reason: error.message }, "task not begun by a fault of the farm");
    return { result: agentResult(task, "abort", "agent", error.message), entry: undefined, fault: true };
  }
  await using live =
    received.logUrl === undefined ? undefined : new LiveLog(context.client, received.logUrl, log);
  const outcome = await decide(context, { received, task, machine, entry, log, live, interruption });
  lock[Symbol.dispose](); // others may wait for it; all the rest needs no machine
  const result = complete(outcome.result, task);
  context.status.advance("recording");
  await recordPatiently(context, entry, result, log);
  await removeUploads(context, log);
  log.info({ status: result.status }, "task performed");
  return { entry, result, fault: outcome.fault === true };
}

/**
 * Empties the directories and then writes down what was promised, in this order also after a crash of the host.
 *
 * @throws {Failure} if there is no room for it, or it cannot be written for another reason.
 */
export async function beginTask(context: Context, received: ReceivedTask): Promise<SpoolEntry> {
  const { get, put } = context.directories;
  const task = effectiveTask(received, context.settings.trust);
  await freshDirectories(get, put);
  await attempt(`write '${put}' to the disk`, syncDirectory(dirname(put)));
  await attempt("write the task", writeFile(join(get, "task.manifest"), formatTask(task)));
  return context.spool.begin(assignmentOf(received, task));
}

/** Decides a task that is not performed, as its machine could not be had. */
export async function abandonTask(
  context: Context,
  received: ReceivedTask,
  abandoned: { status: "interrupt" | "abort"; reason: string; begun?: SpoolEntry },
): Promise<Performed> {
  const { task, response } = received;
  const { status, reason } = abandoned;
  const log = context.log.child({
    ...{ session: response.session, machine: task.machine, task: `${task.name}/${task.version}` },
  });
  log.warn({ status, reason }, "task abandoned");
  const result = agentResult(task, status, "agent", reason);
  const fault = status === "abort";
  let entry = abandoned.begun;
  try {
    entry ??= await beginTask(context, received);
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    return { result, entry: undefined, fault };
  }
  await recordPatiently(context, entry, result, log);
  await removeUploads(context, log);
  return { result, entry, fault };
}

/** The request that tells a controller the result. */
export function resultRequest(
  { session, answer }: Pick<Assignment, "session" | "answer">,
  result: Result,
): Uint8Array {
  return formatResultRequest({
    session,
    agentChecksum,
    ...(answer === undefined ? {} : { challenge: answer }),
    result,
  });
}

/** Writes the result down; while the disk is full, again and again: it is all that is left of the build. */
async function recordPatiently(context: Context, entry: SpoolEntry, result: Result, log: Log): Promise<void> {
  const pauses = new Backoff<"spool">(faultPauseMaxSeconds);
  for (;;) {
    try {
      return await entry.setResult(resultRequest(entry.assignment, result));
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      const pauseSeconds = pauses.failed("spool");
      log.error({ reason: error.message, pauseSeconds }, "result not written down yet");
      await sleep(pauseSeconds * 1000, undefined, { signal: context.stop }).catch(() => {});
      context.stop.throwIfAborted(); // what the machine uploaded is still there, for the next start
    }
  }
}

/** After the result is safe; a failure is no reason to lose it, and the next task starts with empty ones anyway. */
async function removeUploads({ directories }: Context, log: Log): Promise<void> {
  try {
    await removeDirectories(directories.get, directories.put);
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    log.warn({ reason: error.message }, "files of the task are left");
  }
}

interface Work {
  received: ReceivedTask;
  task: Task;
  machine: TaskMachine;
  entry: SpoolEntry;
  log: Log;
  live: LiveLog | undefined;
  interruption: Interruption;
}

async function decide(context: Context, work: Work): Promise<Outcome> {
  const { task, log, interruption } = work;
  const { signal } = interruption;
  if (context.settings.fakeBuild)
    return { result: agentResult(task, "abort", "agent", "not built: --fake-build") };
  try {
    return await buildOnMachine(context, work);
  } catch (error) {
    if (signal.aborted && signal.reason instanceof Interrupted) {
      log.warn({ reason: signal.reason.message }, "task interrupted");
      return { result: agentResult(task, "interrupt", "agent", signal.reason.message) };
    }
    if (!(error instanceof Failure)) throw error;
    log.error({ reason: error.message }, "task not performed by a fault of the farm");
    return { result: agentResult(task, "abort", "agent", error.message), fault: true };
  }
}

async function buildOnMachine(context: Context, work: Work): Promise<Outcome> {
  const stack = new AsyncDisposableStack();
  try {
    return await useMachine(context, work, stack);
  } finally {
    // What cannot be cleaned up is told, and does not change the outcome.
    await stack
      .disposeAsync()
      .catch((error: unknown) => work.log.error({ reason: reasonOf(error) }, "machine not cleaned up"));
  }
}

async function useMachine(context: Context, work: Work, stack: AsyncDisposableStack): Promise<Outcome> {
  const { task, log, interruption } = work;
  const { signal } = interruption;
  const tail = new LogTail();
  const onLog = (chunk: Buffer) => {
    tail.write(chunk);
    work.live?.write(chunk);
  };
  const started = await startMachine(context, work, stack, onLog);
  if ("failed" in started)
    return { result: agentResult(task, "abort", "agent", started.failed + tail.quote()) };
  const { exchange } = started;
  log.milestone("machine is up");
  context.status.advance("building");
  const waited = await exchange.waitForUpload(resultFiles, context.settings.buildTimeoutSeconds, signal);
  // From here on the result counts, or the machine is evidence: whoever needs it waits for the lock.
  interruption[Symbol.dispose]();
  if (waited.kind !== "done") return { result: await unfinished(context, work, exchange, waited, tail) };
  context.status.advance("extracting");
  await exchange.tftp.close(); // what is looked at now must not change any more
  const uploaded = await takeUploads(context, work.entry, task, log);
  if (uploaded === undefined)
    return { result: agentResult(task, "abnormal", "agent", "the result vanished") };
  const { result, broken } = uploaded;
  if (result.status === "abnormal")
    await softFail(
      context,
      { name: task.name, exchange, log, reason: "the result is abnormal", ...broken },
      "machine failed",
    );
  return { result };
}

type Started = { exchange: Exchange } | { failed: string };

async function startMachine(
  context: Context,
  work: Work,
  stack: AsyncDisposableStack,
  onLog: (chunk: Buffer) => void,
): Promise<Started> {
  const { settings, directories } = context;
  const { machine, log, interruption } = work;
  const { signal } = interruption;
  const common = { readable: directories.get, writable: directories.put, log };
  if (settings.fakeMachine !== undefined) {
    const server = { address: "127.0.0.1", port: settings.tftpPort, uploadMaxBytes: settings.uploadMaxBytes };
    return { exchange: stack.use(await Exchange.start({ ...common, ...server })) };
  }
  // Each try gets a snapshot of its own; the one before is thrown away with what the mis-boot did to it.
  const snapshots = stack.use(new AsyncDisposableStack());
  let last: AsyncDisposable | undefined;
  const snapshot = async () => {
    await last?.[Symbol.asyncDispose]();
    const options = {
      from: machine.paths.bootstrapped,
      paths: machine.paths,
      instance: settings.instance,
      mode: "overlay" as const,
    };
    const made = await temporarySnapshot(context.storage, { ...options, log, signal });
    last = snapshots.use(made);
    return made.path;
  };
  const { machine: manifest } = machine.bootstrapped;
  const resources = resourcesFor(work.received.controller.priority, settings);
  const booted = await boot({
    ...common,
    settings: { ...settings, ...resources },
    machine: manifest,
    mac: manifest.mac ?? randomMac(),
    snapshot,
    startupTimeoutSeconds: settings.startupTimeoutSeconds.build,
    retries: settings.buildRetries,
    evidence: directories.evidence,
    onLog,
    signal,
  });
  if ("exchange" in booted) return { exchange: stack.use(booted.exchange) };
  if (booted.failed === "ended")
    return { failed: `the machine ended before its first sign of life: ${booted.end.detail}` };
  return { failed: `the machine did not come up: ${booted.reason}` };
}

/** The machine ended, or took too long. */
async function unfinished(
  context: Context,
  work: Work,
  exchange: Exchange,
  waited: WaitResult,
  tail: LogTail,
): Promise<Result> {
  const { task, log } = work;
  if (waited.kind === "ended") {
    log.error({ end: waited.end.detail }, "machine ended before its result");
    return agentResult(
      task,
      "abort",
      "agent",
      `the machine ended before its result: ${waited.end.detail}${tail.quote()}`,
    );
  }
  const reason = `no result within ${context.settings.buildTimeoutSeconds} s`;
  await softFail(context, { name: task.name, exchange, log, reason }, "machine failed");
  return agentResult(task, "abort", "agent", reason + tail.quote());
}

function complete(result: Result, task: Task): Result {
  // A worker that failed early cannot tell.
  return result.version === "0" ? { ...result, name: task.name, version: task.version } : result;
}

export function assignmentOf({ response, answer, logUrl }: ReceivedTask, task: Task): Assignment {
  return {
    session: response.session,
    uploadUrls: response.uploadUrls,
    task: Buffer.from(formatTask(task)).toString("utf8"),
    ...(answer === undefined ? {} : { answer }),
    ...(response.resultUrl === undefined ? {} : { resultUrl: response.resultUrl }),
    ...(logUrl === undefined ? {} : { logUrl }),
  };
}
