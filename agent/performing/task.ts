/**
 * Performs one task: from what was promised in the spool, by way of its machine (build.ts), to the decided result there.
 *
 * What holds after a crash: the assignment is in the spool before the machine starts, and the upload directory was
 * emptied before that. So an assignment without a result belongs to whatever lies in the upload directory: a
 * complete result there is the task's, and without one the task was interrupted.
 */
import { assertFailure } from "../../os/failure.ts";
import { removeDirectories } from "../../os/files/directories.ts";
import type { Log } from "../../os/log.ts";
import { agentOperation, machineOperation, type Result } from "../../manifests/result.ts";
import { recordResult } from "../results/record-result.ts";
import { agentResult } from "../results/result.ts";
import { beginTask, effectiveTask } from "../task-state/begin-task.ts";
import { Cancelled, Interrupted, type Interruption } from "../task-state/interruption.ts";
import type { ReceivedTask } from "../task-state/received-task.ts";
import { orWhenOver } from "../task-state/signs-of-life.ts";
import type { SpoolEntry } from "../task-state/spool.ts";
import { buildOnMachine, type Outcome, type TaskMachine, type TaskRun } from "./build.ts";
import type { PerformingContext } from "./context.ts";
import { LiveLog } from "./live-log.ts";
import { RefusedSecrets } from "./handing/secrets.ts";
import type { Held } from "./soft-fail.ts";
import { MachineChanged } from "./task-snapshot.ts";

export interface Performed {
  result: Result;
  /** Where the result waits to be sent; undefined if the spool could not be written. */
  entry: SpoolEntry | undefined;
  /** A fault of the farm, not of the build: pause before the next task. */
  fault: boolean;
  /** Nobody waits for the result. */
  isUnwanted?: true;
  /** Fulfilled, never rejected, once nothing is left of the task but its result: the next one is not to begin before. */
  cleared?: Promise<void>;
  /** The machine is held for the operator, and so is its lock; once the result is sent, this is to be waited for. */
  held?: Held & AsyncDisposable;
}

/**
 * Performs a task on a machine and decides its result in the spool.
 *
 * @param interruption if its signal is aborted with {@link Interrupted}, the task gets the result `interrupt`;
 * disposed of as soon as the machine has sent its result.
 * @param begun if the task was begun already (see {@link beginTask}).
 */
export async function performTask(
  context: PerformingContext,
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
  const starting = context.phases.time("start");
  let entry: SpoolEntry;
  try {
    using _noting = context.phases.time("spool-entry");
    entry = begun ?? (await beginTask(context, received));
  } catch (error) {
    assertFailure(error);
    log.error({ reason: error.message }, "task not begun by a fault of the farm");
    const result = agentResult(task, "abort", agentOperation, error.message);
    return { result, entry: undefined, fault: true };
  }
  await using live =
    received.logUrl === undefined ? undefined : new LiveLog(context.client, received.logUrl, log);
  const outcome = await decide(context, {
    ...{ received, task, machine, entry, log, live, interruption, starting },
  });
  const held = stack.use(outcome.held);
  // Others may wait for the lock; all the rest needs no machine, and is done while that ends.
  const gone = held
    ? Promise.resolve()
    : (outcome.gone ?? Promise.resolve()).then(() => lock[Symbol.dispose]());
  stack.defer(() => gone);
  const { result } = outcome;
  context.status.advance("recording");
  if (outcome.isUnwanted) {
    log.info("task given up: nobody waits for its result any more");
    await entry.remove();
    context.signs.end(session);
    await gone;
    await removeUploads(context, log);
    return { entry: undefined, result, fault: false, isUnwanted: true };
  }
  const recording = context.phases.time("spool");
  await recordResult(context, entry, result, log);
  recording[Symbol.dispose]();
  log.info({ status: result.status }, "task performed");
  const cleared = gone.then(() => removeUploads(context, log));
  const performed = { entry, result, fault: outcome.fault === true, cleared };
  if (!held) {
    stack.move(); // the lock is given back as soon as the machine is gone
    return performed;
  }
  const kept = stack.move();
  const untilEnded = (signal: AbortSignal) => held.untilEnded(signal);
  return { ...performed, held: { untilEnded, [Symbol.asyncDispose]: () => kept.disposeAsync() } };
}

/** Decides a task that is not performed, as its machine could not be had. */
export async function abandonTask(
  context: PerformingContext,
  received: ReceivedTask,
  abandoned: { status: "interrupt" | "abort"; reason: string; begun?: SpoolEntry },
): Promise<Performed> {
  const { task, response } = received;
  const { status, reason } = abandoned;
  const log = context.log.child({
    ...{ session: response.session, machine: task.machine, task: `${task.name}/${task.version}` },
  });
  log.warn({ status, reason }, "task abandoned");
  const result = agentResult(task, status, agentOperation, reason);
  const fault = status === "abort";
  let entry = abandoned.begun;
  try {
    entry ??= await beginTask(context, received);
  } catch (error) {
    assertFailure(error);
    return { result, entry: undefined, fault };
  }
  await recordResult(context, entry, result, log);
  await removeUploads(context, log);
  return { result, entry, fault };
}

/** After the result is safe; a failure is no reason to lose it, and the next task starts with empty ones anyway. */
async function removeUploads({ directories }: PerformingContext, log: Log): Promise<void> {
  try {
    await removeDirectories(directories.get, directories.put);
  } catch (error) {
    assertFailure(error);
    log.warn({ reason: error.message }, "files of the task are left");
  }
}

async function decide(context: PerformingContext, run: TaskRun): Promise<Outcome> {
  const { task, log } = run;
  const { signs } = context;
  const { assignment } = run.entry;
  const over = signs.show(assignment, "building");
  const interruption = orWhenOver(run.interruption, over, () => signs.show(assignment, "deciding"));
  const { signal } = interruption;
  if (context.settings.fakeBuild)
    return { result: agentResult(task, "abort", machineOperation, "not built: --fake-build") };
  try {
    return await buildOnMachine(context, { ...run, interruption });
  } catch (error) {
    if (signal.aborted && signal.reason instanceof Interrupted) {
      const isUnwanted = signal.reason instanceof Cancelled;
      const { priority } = run.received.controller;
      log.milestone({ reason: signal.reason.message, priority, holder: process.pid }, "task interrupted");
      const result = agentResult(task, "interrupt", agentOperation, signal.reason.message);
      return isUnwanted ? { result, isUnwanted } : { result };
    }
    assertFailure(error);
    if (error instanceof RefusedSecrets) {
      log.error({ reason: error.message }, "task not performed: its secrets cannot be had");
      return { result: agentResult(task, "abort", agentOperation, error.message) };
    }
    if (error instanceof MachineChanged) {
      log.warn({ reason: error.message }, "task given back");
      return { result: agentResult(task, "interrupt", agentOperation, error.message) };
    }
    log.error({ reason: error.message }, "task not performed by a fault of the farm");
    return { result: agentResult(task, "abort", agentOperation, error.message), fault: true };
  }
}
