/**
 * What becomes of a machine that misbehaved.
 *
 * It is evidence: its processors are stopped, its lock says so to the other agents of the host (a priority is gone from
 * it, so that nobody tries to interrupt), and this agent does nothing else until an operator ends it, or resumes it
 * and it ends some day. With `--no-suspend`, in the modes that print something and exit, and for a
 * build that has failed a machine before, as its controller says, only files are kept.
 *
 * After a crash of the agent meanwhile: the kernel has ended the machine and released its lock, what was kept of it is in
 * the evidence directory, and the next start clears the rest away (recovery.ts).
 */
import { basename } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { assertFailure, reasonOf } from "../../os/failure.ts";
import type { Log } from "../../os/log.ts";
import type { MachineLock } from "../../machines/locks.ts";
import { removeSuspension, writeSuspension } from "../../machines/runtime-directory.ts";
import type { VirtualMachine } from "../../machines/virtual-machine.ts";
import type { PerformingContext } from "./context.ts";
import { keepEvidence, keepFiles } from "./evidence.ts";
import type { Exchange } from "./exchange.ts";
import { operatorCommand } from "./interactive.ts";

/** A machine that failed, and what there is of it. */
export interface Misbehaved {
  /** Name of the machine. */
  name: string;
  exchange?: Exchange;
  lock: Pick<MachineLock, "truncate">;
  /** Worth keeping, besides its console. */
  files?: readonly string[];
  reason: string;
  /** False: it is not worth a machine; what of it is kept in files will do. */
  mayHold?: boolean;
  log: Log;
}

/** A machine that is held for the operator. Whoever disposes of its exchange afterwards ends it. */
export interface Held {
  /**
   * Waits until the machine has ended, resumed or not.
   *
   * @throws the signal's reason if aborted. What the console shows by then is kept either way.
   */
  untilEnded(signal: AbortSignal): Promise<void>;
}

/**
 * Tells the operator about a machine that misbehaved, keeps what can be looked at later, and suspends it.
 *
 * @returns undefined if it is not held: it has ended already, or nobody is to wait for the operator.
 */
export async function softFail(
  context: PerformingContext,
  failed: Misbehaved,
  message: string,
): Promise<Held | undefined> {
  const { exchange, name, reason, log } = failed;
  const machine = exchange?.machine;
  const files = [...(failed.files ?? []), ...(machine ? [machine.consoleFile] : [])];
  const evidence = await keepEvidence(context.directories.evidence, name, files, log);
  const mayHold = holdsMachines(context) && failed.mayHold !== false;
  const held = mayHold && exchange && machine && (await suspend(failed, exchange, machine));
  if (!held) {
    log.error({ reason, evidence, description: machine?.describe() }, message);
    return undefined;
  }
  const { instance, toolchain, runtime } = context.settings;
  const since = new Date().toISOString();
  const directory = basename(runtime);
  const note = {
    machine: name,
    directory,
    toolchain: toolchain.name,
    instance,
    pid: process.pid,
    reason,
    since,
  };
  await orWarn(log, writeSuspension(runtime, note));
  log.error(
    { reason, evidence, description: machine.describe(), commands: commandsFor(context, name) },
    `${message}: it is suspended until you end it`,
  );
  return { untilEnded: (signal) => untilEnded(context, failed, machine, evidence, signal) };
}

/** A mode that prints one thing has nobody who would resume a machine. */
function holdsMachines({ settings }: PerformingContext): boolean {
  return settings.suspend && settings.dump === undefined && settings.fakeRequest === undefined;
}

/** @returns false if it cannot be suspended, or has ended. */
async function suspend(
  { lock, log }: Misbehaved,
  exchange: Exchange,
  machine: VirtualMachine,
): Promise<boolean> {
  if (await machine.wait(0)) return false;
  await exchange.tftp.close(); // resumed, it must not send a result that nobody waits for
  try {
    await machine.suspend();
  } catch (error) {
    log.warn({ reason: reasonOf(error) }, "machine could not be suspended");
    return false;
  }
  if (await machine.wait(0)) return false;
  try {
    lock.truncate();
  } catch (error) {
    log.warn({ reason: reasonOf(error) }, "other agents do not know that the machine is suspended");
  }
  return true;
}

async function untilEnded(
  context: PerformingContext,
  { name, reason, log }: Misbehaved,
  machine: VirtualMachine,
  evidence: string,
  signal: AbortSignal,
): Promise<void> {
  const { status, settings } = context;
  const { phase: _, ...activity } = { ...status.activity, machine: name };
  status.set("suspended", { ...activity, reason });
  const over = new AbortController();
  const sending = sendMeanwhile(context, AbortSignal.any([signal, over.signal]));
  sending.catch(() => {}); // it is waited for below
  try {
    if ((await machine.resumedOrEnded(signal)) === "resumed") {
      log.info("machine resumed by an operator, it runs on until it ends");
      status.set("suspended", { ...activity, reason: `${reason}; resumed by an operator` });
      while (!(await machine.wait(Infinity, signal)));
    }
    log.info({ end: (await machine.ended).detail }, "machine that was held has ended");
  } finally {
    over.abort();
    await keepFiles(evidence, [machine.consoleFile], log); // it may have gone on
    await orWarn(log, removeSuspension(settings.runtime));
    await sending;
  }
}

/** Results whose controller was down are not to wait for the operator. */
async function sendMeanwhile(
  { settings, delivery, log }: PerformingContext,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    await sleep(settings.pollIntervalSeconds * 1000, undefined, { signal, ref: false }).catch(() => {});
    try {
      await delivery.sendDue(signal);
    } catch (error) {
      assertFailure(error);
      log.warn({ reason: error.message }, "results cannot be sent");
    }
  }
}

function commandsFor({ settings }: PerformingContext, name: string): string {
  return ["console", "resume", "kill"].map((verb) => operatorCommand(settings, verb, name)).join("\n");
}

/** What an operator's commands need is missing; the machine is held all the same. */
async function orWarn(log: Log, work: Promise<void>): Promise<void> {
  try {
    await work;
  } catch (error) {
    log.warn({ reason: reasonOf(error) }, "the note about a suspended machine is not right");
  }
}
