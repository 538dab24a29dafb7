/** The work loop: look through the machines, ask the controllers, perform, deliver; again. */
import { setTimeout as sleep } from "node:timers/promises";
import { assertFailure, Failure } from "../os/failure.ts";
import { BootstrapBackoff } from "../machines/enumeration/bootstrap-backoff.ts";
import { BootstrapWaits } from "../machines/enumeration/bootstrap-waits.ts";
import type { PendingBootstrap } from "../machines/enumeration/pending-bootstrap.ts";
import { Backoff } from "../os/backoff.ts";
import { bootstrapMachine } from "./performing/bootstrap.ts";
import type { Context } from "./context.ts";
import { faultPauseMaxSeconds } from "./results/farm-fault.ts";
import { resultRequest } from "./results/record-result.ts";
import { dumpMachines, dumpResult, dumpTask } from "./dump.ts";
import { Grace } from "./wire/grace.ts";
import { nextWork, type AbandonedWork, type Backoffs, type TaskWork } from "./next-work.ts";
import type { WarmSubject } from "./settings/warm.ts";
import { assignmentOf } from "./task-state/assignment.ts";
import type { ReceivedTask } from "./task-state/received-task.ts";
import type { SignalWatch } from "./signals.ts";
import { saveMachine } from "./performing/save-machine.ts";
import { abandonTask, performTask, type Performed } from "./performing/task.ts";

/** How long a result may take to be delivered once the agent is asked to end; after that it stays in the spool. */
const lastDeliverySeconds = 10;
/** How long a controller's tasks do not interrupt others after these did not give way. */
const interruptionPauseMinSeconds = 60;
const interruptionPauseMaxSeconds = 600;

/**
 * Works until asked to end, or until a mode has printed what it is for.
 *
 * A fault of the farm (no disk space, no QEMU…) does not end the loop: it is logged, and the loop pauses for a
 * while that grows until something works again.
 *
 * @param reload reads the configuration again, and changes the context by it
 * @throws the stop signal's reason; {@link Failure} in the modes that print something.
 */
export async function workLoop(
  context: Context,
  signals: SignalWatch,
  reload: (context: Context) => Promise<void>,
): Promise<void> {
  const backoffs = {
    bootstrap: new BootstrapBackoff(),
    waits: new BootstrapWaits(),
    interruption: new Backoff<string>(interruptionPauseMaxSeconds, undefined, interruptionPauseMinSeconds),
  };
  const faults = new Backoff<"fault">(faultPauseMaxSeconds);
  while (!signals.drain.aborted) {
    try {
      if (signals.takeReload()) {
        await context.ahead.discard();
        await reload(context);
      }
      if (await round(context, backoffs, signals)) {
        faults.succeeded("fault");
        context.status.worked();
      } else await pauseAfterFault(context, faults, "the last task or bootstrap could not be done", signals);
    } catch (error) {
      signals.stop.throwIfAborted();
      if (error instanceof Finished || error === signals.drain.reason) return;
      if (!(error instanceof Failure) || !isService(context)) throw error;
      context.log.error({ reason: error.message }, "a fault of the farm");
      await pauseAfterFault(context, faults, error.message, signals);
    }
  }
}

/** Else it is to print something and exit: nothing is tried again, and whoever called it is told why there is nothing. */
function isService({ settings }: Context): boolean {
  return settings.dump === undefined && settings.fakeRequest === undefined;
}

async function pauseAfterFault(
  { status, metrics, log, ability }: Context,
  faults: Backoff<"fault">,
  reason: string,
  signals: SignalWatch,
): Promise<void> {
  const pauseSeconds = faults.failed("fault");
  ability.forget();
  status.failed(reason);
  status.set("pausing", { reason });
  metrics.faulted();
  log.warn({ pauseSeconds }, "pausing after a fault");
  await pause(pauseSeconds, signals);
}

/** A mode has printed what it is for. */
class Finished extends Error {}

/** @returns false after a fault that has been logged. */
async function round(context: Context, backoffs: Backoffs, signals: SignalWatch): Promise<boolean> {
  const { settings, status } = context;
  await context.delivery.sendDue(signals.stop, () => status.set("delivering"));
  signals.stop.throwIfAborted();
  if (settings.dump !== "machines") await checkHost(context);
  context.wakeUps.begin();
  context.phases.begin(context.wakeUps.wokenMs);
  const isWantedAhead = (subject: WarmSubject) => context.ahead.isWanted(context, subject);
  await using work = await nextWork({ ...context, isWantedAhead }, backoffs, signals);
  context.wakeUps.settle(work.kind !== "nothing");
  switch (work.kind) {
    case "bootstrap":
      await context.ahead.discard();
      return await bootstrap(context, work.pending, backoffs.bootstrap, signals);
    case "save":
      await context.ahead.discard();
      status.set("saving", { machine: work.machine.paths.name });
      await saveMachine(context, work.machine, signals.stop);
      return true;
    case "ahead":
      status.set("restoring", { machine: work.machine.paths.name });
      await context.ahead.keep(context, work.machine, signals.stop);
      return true;
    case "machines":
      dumpMachines(work.machines);
      throw new Finished();
    case "dump":
      dumpTask(work.task);
      throw new Finished();
    case "nothing":
      status.worked(); // not only after the sleep
      await context.ahead.look(context);
      if (work.refused) await context.delivery.sendDue(signals.stop);
      status.set("idle", { reason: waitingFor(work) });
      await sleepUntilWoken(
        context,
        Math.min(
          sleepSeconds(settings.pollIntervalSeconds, work.machines === 0),
          context.polling.retrySeconds, // it may be back at once, and has perhaps a build
        ),
        work.changed,
        signals,
      );
      return true;
    case "task":
      return await perform(context, work, signals);
    case "abandoned":
      return await abandon(context, work, signals);
  }
}

/** @throws {Failure} for what keeps this host from building: then nobody is asked. */
async function checkHost(context: Context): Promise<void> {
  try {
    await context.ability.check(context);
  } catch (error) {
    context.status.ready(); // as far as it gets: whoever waits for it is told by status and health
    throw error;
  }
}

async function bootstrap(
  context: Context,
  pending: PendingBootstrap,
  backoff: BootstrapBackoff,
  { stop }: SignalWatch,
): Promise<boolean> {
  const { log, status, metrics } = context;
  status.set("booting", { machine: pending.manifest.name });
  let fault: Failure | undefined;
  try {
    if (await bootstrapMachine(context, pending, stop)) {
      backoff.succeeded(pending.attempt);
      metrics.bootstrapped("success");
      return true;
    }
  } catch (error) {
    stop.throwIfAborted();
    assertFailure(error);
    fault = error;
    const machine = pending.manifest.name;
    log.error({ machine, reason: error.message }, "bootstrap failed by a fault of the farm");
    if (!isService(context)) throw error;
  }
  // Also after a fault: it may well be this machine's manifest that QEMU does not like.
  metrics.bootstrapped("failure");
  const minutes = backoff.failed(pending.attempt);
  log.warn({ machine: pending.manifest.name, minutes }, "machine left alone for a while");
  return fault === undefined;
}

async function perform(context: Context, work: TaskWork, signals: SignalWatch): Promise<boolean> {
  const { received, machine, interruption, begun } = work;
  context.status.set("booting", aboutTask(received));
  const performed = await performTask(context, received, machine, interruption, begun);
  return await report(context, received, performed, signals);
}

function aboutTask({ task, controller, response }: ReceivedTask) {
  return {
    machine: task.machine,
    task: `${task.name}/${task.version}`,
    controller: controller.url,
    session: response.session,
  };
}

/** Tells the controller that its task is not performed. */
async function abandon(context: Context, work: AbandonedWork, signals: SignalWatch): Promise<boolean> {
  const { received, abandoned } = work;
  context.status.set("recording", aboutTask(received));
  return await report(context, received, await abandonTask(context, received, abandoned), signals);
}

/** @returns false after a fault. */
async function report(
  context: Context,
  received: ReceivedTask,
  performed: Performed,
  signals: SignalWatch,
): Promise<boolean> {
  const { settings, metrics } = context;
  metrics.built(performed.result.status);
  await using held = performed.held;
  await using _ = { [Symbol.asyncDispose]: async () => performed.cleared };
  if (settings.dump === "result" || settings.fakeRequest !== undefined) {
    await performed.entry?.remove();
    dumpResult(performed.result);
    throw new Finished();
  }
  if (!performed.isUnwanted) {
    using _sending = context.phases.time("send");
    await deliver(context, received, performed, signals.stop);
  }
  const { session } = received.response;
  await performed.cleared;
  context.phases.end(context.log.child({ session, task: `${received.task.name}/${received.task.version}` }));
  await held?.untilEnded(signals.stop);
  return !performed.fault;
}

/** Sends the result; once the agent is asked to end, for a few seconds only. */
async function deliver(
  context: Context,
  received: ReceivedTask,
  { entry, result }: Performed,
  stop: AbortSignal,
): Promise<void> {
  context.status.advance("delivering");
  using grace = new Grace(stop, lastDeliverySeconds);
  const { resultUrl } = received.response;
  if (entry) await context.delivery.send(entry, { signal: grace.signal });
  else if (resultUrl !== undefined)
    await context.delivery.sendUnspooled(
      resultUrl,
      resultRequest(assignmentOf(received, received.task), result),
      grace.signal,
    );
  if (!entry) context.signs.end(received.response.session);
}

function waitingFor({ machines, full }: { machines: number; full: boolean }): string {
  if (full) return "waiting for a task of higher priority: all instances are busy";
  return machines === 0 ? "waiting for a machine" : "waiting for a task";
}

/** Random, so that the agents of a farm do not ask in step; half as long while no machine is free. */
function sleepSeconds(longestSeconds: number, noMachine: boolean): number {
  const seconds = longestSeconds * (5 / 6 + Math.random() / 6);
  return noMachine ? seconds / 2 : seconds;
}

/**
 * Whoever asks the agent to do something else need not wait for it.
 *
 * @param changed aborted when what was offered is not what there is any more
 */
async function sleepUntilWoken(
  { wakeUps }: Context,
  seconds: number,
  changed: AbortSignal,
  { stop, drain, reload }: SignalWatch,
): Promise<void> {
  await wakeUps.wait(seconds, AbortSignal.any([stop, drain, reload, changed]));
  stop.throwIfAborted();
}

async function pause(seconds: number, { stop, drain, reload }: SignalWatch): Promise<void> {
  await sleep(seconds * 1000, undefined, { signal: AbortSignal.any([stop, drain, reload]) }).catch(() => {});
  stop.throwIfAborted();
}
