/**
 * Performs one task: from what was promised in the spool, by way of its machine (build.ts), to the decided result there.
 *
 * What holds after a crash: the assignment is in the spool before the machine starts, and the upload directory was
 * emptied before that. So an assignment without a result belongs to whatever lies in the upload directory: a
 * complete result there is the task's, and without one the task was interrupted.
 */
import { dirname } from "node:path";
import { syncDirectory } from "../../os/files/durable.ts";
import { assertFailure, attempt } from "../../os/failure.ts";
import type { Log } from "../../os/log.ts";
import { withoutUndefined } from "../../os/without-undefined.ts";
import type { Result } from "../../manifests/result.ts";
import { formatResultRequest } from "../../manifests/result-request.ts";
import { formatTask, type Task } from "../../manifests/task.ts";
import { buildOnMachine, type Outcome, type TaskMachine, type Work } from "./build.ts";
import { agentChecksum, Interrupted, type Context } from "../context.ts";
import { freshDirectories, removeDirectories } from "../../os/files/directories.ts";
import { patiently } from "../results/farm-fault.ts";
import { LiveLog } from "./live-log.ts";
import type { ReceivedTask } from "../asking/polling.ts";
import { agentResult } from "../results/result.ts";
import type { Interruption } from "../signals.ts";
import type { Held } from "./soft-fail.ts";
import type { Assignment, SpoolEntry } from "../task-state/spool.ts";

export interface Performed {
  result: Result;
  /** Where the result waits to be sent; undefined if the spool could not be written. */
  entry: SpoolEntry | undefined;
  /** A fault of the farm, not of the build: pause before the next task. */
  fault: boolean;
  /** The machine is held for the operator, and so is its lock; once the result is sent, this is to be waited for. */
  held?: Held & AsyncDisposable;
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
  await using stack = new AsyncDisposableStack();
  const lock = stack.use(machine.lock);
  log.info({ controller: received.controller.url }, "task received");
  let entry: SpoolEntry;
  try {
    entry = begun ?? (await beginTask(context, received));
  } catch (error) {
    assertFailure(error);
    log.error({ reason: error.message }, "task not begun by a fault of the farm");
    return { result: agentResult(task, "abort", "agent", error.message), entry: undefined, fault: true };
  }
  await using live =
    received.logUrl === undefined ? undefined : new LiveLog(context.client, received.logUrl, log);
  const outcome = await decide(context, { received, task, machine, entry, log, live, interruption });
  const held = stack.use(outcome.held);
  if (!held) lock[Symbol.dispose](); // others may wait for it; all the rest needs no machine
  const { result } = outcome;
  context.status.advance("recording");
  await recordPatiently(context, entry, result, log);
  await removeUploads(context, log);
  log.info({ status: result.status }, "task performed");
  const performed = { entry, result, fault: outcome.fault === true };
  if (!held) return performed;
  const kept = stack.move();
  const untilEnded = (signal: AbortSignal) => held.untilEnded(signal);
  return { ...performed, held: { untilEnded, [Symbol.asyncDispose]: () => kept.disposeAsync() } };
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
    assertFailure(error);
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
  return formatResultRequest(withoutUndefined({ session, agentChecksum, challenge: answer, result }));
}

/**
 * Writes the result down; while the disk is full, again and again: it is all that is left of the build.
 *
 * @throws the stop signal's reason; what the machine uploaded is to stay there then, for the next start.
 */
export function recordPatiently(
  context: Context,
  entry: SpoolEntry,
  result: Result,
  log: Log,
): Promise<void> {
  const request = resultRequest(entry.assignment, result);
  return patiently(context, log, "result not written down yet", () => entry.setResult(request));
}

/** After the result is safe; a failure is no reason to lose it, and the next task starts with empty ones anyway. */
async function removeUploads({ directories }: Context, log: Log): Promise<void> {
  try {
    await removeDirectories(directories.get, directories.put);
  } catch (error) {
    assertFailure(error);
    log.warn({ reason: error.message }, "files of the task are left");
  }
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
      const { priority } = work.received.controller;
      log.milestone({ reason: signal.reason.message, priority, holder: process.pid }, "task interrupted");
      return { result: agentResult(task, "interrupt", "agent", signal.reason.message) };
    }
    assertFailure(error);
    log.error({ reason: error.message }, "task not performed by a fault of the farm");
    return { result: agentResult(task, "abort", "agent", error.message), fault: true };
  }
}

export function assignmentOf({ response, answer, logUrl }: ReceivedTask, task: Task): Assignment {
  return withoutUndefined({
    session: response.session,
    uploadUrls: response.uploadUrls,
    task: Buffer.from(formatTask(task)).toString("utf8"),
    answer,
    resultUrl: response.resultUrl,
    logUrl,
  });
}
