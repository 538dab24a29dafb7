/**
 * Performs one task: from the snapshot to the decided result in the spool.
 *
 * What holds after a crash: the assignment is in the spool before the machine starts, and the upload directory was
 * emptied before that. So an assignment without a result belongs to whatever lies in the upload directory: a
 * complete result there is the task's, and without one the task was interrupted.
 */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Failure } from "../host/failure.ts";
import type { Log } from "../host/log.ts";
import type { MachinePaths } from "../machines/layout.ts";
import { temporarySnapshot } from "../machines/temporary-snapshot.ts";
import type { BootstrappedMachine } from "../manifests/bootstrapped-machine.ts";
import { isFailure, type Result } from "../manifests/result.ts";
import { formatResultRequest } from "../manifests/result-request.ts";
import { formatTask, type Task } from "../manifests/task.ts";
import { extractArtifacts } from "./artifacts.ts";
import { boot, randomMac } from "./boot.ts";
import { agentChecksum, Interrupted, type Context } from "./context.ts";
import { freshDirectories } from "./directories.ts";
import { keepEvidence } from "./evidence.ts";
import { Exchange, type WaitResult } from "./exchange.ts";
import { LiveLog } from "./live-log.ts";
import { LogTail } from "./log-tail.ts";
import type { ReceivedTask } from "./polling.ts";
import { agentResult, readResult, resultFiles, withOperation } from "./result.ts";
import type { Assignment, SpoolEntry } from "./spool.ts";

/** A machine that this process has locked for the task. */
export interface TaskMachine {
  paths: MachinePaths;
  bootstrapped: BootstrappedMachine;
  /** Disposed of as soon as the machine is not needed any more: others may wait for it. */
  lock: Disposable;
}

export interface Performed {
  entry: SpoolEntry;
  result: Result;
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
 * @param signal aborted with {@link Interrupted}: the task gets the result `interrupt`.
 */
export async function performTask(
  context: Context,
  received: ReceivedTask,
  machine: TaskMachine,
  signal: AbortSignal,
): Promise<Performed> {
  const { settings, directories } = context;
  const task = effectiveTask(received, settings.trust);
  const log = context.log.child({
    session: received.response.session,
    machine: task.machine,
    task: `${task.name}/${task.version}`,
  });
  using lock = machine.lock;
  await using _files = await freshDirectories(directories.get, directories.put);
  const entry = await context.spool.begin(assignmentOf(received, task));
  log.info({ controller: received.controller.url }, "task received");
  const outcome = await decide(context, { received, task, machine, entry, log, signal });
  lock[Symbol.dispose]();
  const result = complete(outcome.result, task);
  await record(context, entry, result);
  log.info({ status: result.status }, "task performed");
  return { entry, result, fault: outcome.fault === true };
}

/** Signs and writes down the result of an assignment. */
export async function record(context: Context, entry: SpoolEntry, result: Result): Promise<void> {
  const { session, challenge } = entry.assignment;
  const answer =
    challenge !== undefined && context.signer ? { challenge: context.signer.sign(challenge) } : {};
  await entry.setResult(formatResultRequest({ session, agentChecksum, ...answer, result }));
}

/** Takes the result, and artifacts, that a machine has left in the upload directory. */
export async function takeUploads(
  context: Context,
  entry: SpoolEntry,
  task: Task,
  log: Log,
): Promise<Result | undefined> {
  const { put, evidence } = context.directories;
  const limit = context.settings.uploadMaxBytes;
  const found = await readResult(put, limit);
  if (found === undefined) return undefined;
  if ("broken" in found) {
    const kept = await keepEvidence(evidence, task.name, [found.file], log);
    log.error({ reason: found.broken, evidence: kept }, "result of the machine is not readable");
    return agentResult(task, "abnormal", "agent", found.broken);
  }
  const { result } = found;
  if (isFailure(result.status)) return result;
  const archive = join(put, "upload.tar");
  try {
    await extractArtifacts(archive, entry.uploads, limit);
    return result;
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    if ((error.cause as NodeJS.ErrnoException | undefined)?.code === "ENOENT") return result; // nothing was uploaded
    const kept = await keepEvidence(evidence, task.name, [], log);
    log.error({ reason: error.message, evidence: kept }, "artifacts of the machine are not acceptable");
    return withOperation(result, "upload", "abnormal", `${error.message}\n`);
  }
}

interface Work {
  received: ReceivedTask;
  task: Task;
  machine: TaskMachine;
  entry: SpoolEntry;
  log: Log;
  signal: AbortSignal;
}

async function decide(context: Context, work: Work): Promise<Outcome> {
  const { task, log, signal } = work;
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
  const { settings, directories, client } = context;
  const { task, log, received } = work;
  await writeFile(join(directories.get, "task.manifest"), formatTask(task));
  await using stack = new AsyncDisposableStack();
  const tail = new LogTail();
  const live =
    received.logUrl === undefined ? undefined : stack.use(new LiveLog(client, received.logUrl, log));
  const onLog = (chunk: Buffer) => {
    tail.write(chunk);
    live?.write(chunk);
  };
  const started = await startMachine(context, work, stack, onLog);
  if ("failed" in started)
    return { result: agentResult(task, "abort", "agent", started.failed + tail.quote()) };
  const { exchange } = started;
  log.milestone("machine is up");
  const waited = await exchange.waitForUpload(resultFiles, settings.buildTimeoutSeconds, work.signal);
  if (waited.kind !== "done") return { result: await unfinished(context, work, exchange, waited, tail) };
  const result = await takeUploads(context, work.entry, task, log);
  if (result === undefined) return { result: agentResult(task, "abnormal", "agent", "the result vanished") };
  if (result.status === "abnormal") await softFail(context, work, exchange, "the result is abnormal");
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
  const { machine, log, signal } = work;
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
  const booted = await boot({
    ...common,
    settings,
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
  await softFail(context, work, exchange, reason);
  return agentResult(task, "abort", "agent", reason + tail.quote());
}

/** Tells the operator about a machine that misbehaved and keeps what can be looked at; it is powered off afterwards. */
async function softFail(context: Context, work: Work, exchange: Exchange, reason: string): Promise<void> {
  const files = exchange.machine ? [exchange.machine.consoleFile] : [];
  const evidence = await keepEvidence(context.directories.evidence, work.task.name, files, work.log);
  work.log.error({ reason, evidence, description: exchange.machine?.describe() }, "machine failed");
}

function complete(result: Result, task: Task): Result {
  // A worker that failed early cannot tell.
  return result.version === "0" ? { ...result, name: task.name, version: task.version } : result;
}

function assignmentOf({ response, logUrl }: ReceivedTask, task: Task): Assignment {
  return {
    session: response.session,
    uploadUrls: response.uploadUrls,
    task: Buffer.from(formatTask(task)).toString("utf8"),
    ...(response.challenge === undefined ? {} : { challenge: response.challenge }),
    ...(response.resultUrl === undefined ? {} : { resultUrl: response.resultUrl }),
    ...(logUrl === undefined ? {} : { logUrl }),
  };
}
