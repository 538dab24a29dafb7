/**
 * The agent: one process that performs one task at a time.
 *
 * On disk it keeps, for toolchain T and instance I:
 *
 *     <spool>/<T>-<I>/          what it owes to controllers (spool.ts), and a lock against a second agent of the name
 *     <tftp>/toolchains/<T>/    what machines get while they are bootstrapped; `worker` is put there
 *     <tftp>/bootstrap/<T>-<I>/ and <tftp>/build/<T>-<I>/   files of one boot, removed after it
 *     <runtime>/<T>-<I>/        sockets, pid file and console of its machine
 *     <machines>/*\/M/M-T-I-*    temporary snapshots
 *
 * After a crash, at any point: the kernel has released all locks and ended the machine; the next start of the
 * instance reports the task from the spool and removes the rest (recovery.ts). No result of a machine is lost.
 */
import { hostname } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Failure } from "../host/failure.ts";
import { tryLockFile } from "../host/flock.ts";
import type { Log } from "../host/log.ts";
import { packageVersion } from "../host/package.ts";
import { BootstrapBackoff } from "../machines/bootstrap-backoff.ts";
import { openStorage } from "../machines/storage.ts";
import { Backoff } from "./backoff.ts";
import { bootstrapMachine } from "./bootstrap.ts";
import { Interrupted, type Context } from "./context.ts";
import { Delivery } from "./delivery.ts";
import { directoriesOf, provideWorker } from "./directories.ts";
import { dumpMachines, dumpResult, dumpTask } from "./dump.ts";
import { HttpClient } from "./http.ts";
import { nextWork } from "./next-work.ts";
import { Polling } from "./polling.ts";
import { recover } from "./recovery.ts";
import { instanceName, type Settings } from "./settings.ts";
import { openSigner } from "./signing.ts";
import { watchSignals, type SignalWatch } from "./signals.ts";
import { Spool } from "./spool.ts";
import { Status } from "./status.ts";
import { performTask } from "./task.ts";

/** How long a result may take to be delivered once the agent is asked to end; after that it stays in the spool. */
const lastDeliverySeconds = 10;
const faultPauseMaxSeconds = 600;

/**
 * Runs until asked to end (by a signal, or by a mode that prints something and exits).
 *
 * @throws {Failure} for whatever keeps it from working at all.
 */
export async function runAgent(settings: Settings, log: Log): Promise<void> {
  using signals = watchSignals();
  try {
    const spool = await Spool.open(join(settings.spool, instanceName(settings)));
    using _instance = lockInstance(settings, spool);
    const context = await openContext(settings, spool, log);
    if (settings.systemd) tellFacts(context);
    await recover(context);
    await workLoop(context, signals);
  } catch (error) {
    if (!(error instanceof Interrupted)) throw error;
  }
  log.info("agent ended");
}

/** The work loop of agent.md. */
async function workLoop(context: Context, signals: SignalWatch): Promise<void> {
  const { settings, log, status } = context;
  const bootstrapBackoff = new BootstrapBackoff();
  const faults = new Backoff<"fault">(faultPauseMaxSeconds);
  while (!signals.drain.aborted) {
    await context.delivery.sendDue(signals.stop);
    signals.stop.throwIfAborted();
    await using work = await nextWork(context, bootstrapBackoff, signals.stop);
    status.ready();
    if (work.kind === "bootstrap") {
      status.set(`bootstrapping ${work.pending.manifest.name}`);
      if (await bootstrapMachine(context, work.pending, signals.stop))
        bootstrapBackoff.succeeded(work.pending.attempt);
      else
        log.warn(
          { machine: work.pending.manifest.name, minutes: bootstrapBackoff.failed(work.pending.attempt) },
          "machine left alone for a while",
        );
      continue;
    }
    if (work.kind === "machines") return dumpMachines(work.machines);
    if (work.kind === "nothing") {
      const seconds = sleepSeconds(settings.pollIntervalSeconds, work.machines === 0);
      status.set(work.machines === 0 ? "waiting for a machine" : "waiting for a task");
      await pause(seconds, signals);
      continue;
    }
    if (settings.dump === "task") return dumpTask(work.received.task);
    const { task } = work.received;
    status.set(
      `building ${task.name}/${task.version} on ${task.machine} for ${work.received.controller.url}`,
    );
    using interruption = signals.armInterruption();
    const performed = await performTask(context, work.received, work.machine, interruption.signal);
    if (settings.dump === "result" || settings.fakeRequest !== undefined) {
      await performed.entry.remove();
      return dumpResult(performed.result);
    }
    await deliver(context, performed.entry, signals.stop);
    if (performed.fault) await pause(faults.failed("fault"), signals);
    else faults.succeeded("fault");
  }
}

async function deliver(
  context: Context,
  entry: Parameters<Delivery["send"]>[0],
  stop: AbortSignal,
): Promise<void> {
  context.status.set(`sending the result of session ${entry.assignment.session}`);
  const late = new AbortController();
  const limit = () => setTimeout(() => late.abort(), lastDeliverySeconds * 1000).unref();
  if (stop.aborted) limit();
  else stop.addEventListener("abort", limit, { once: true });
  await context.delivery.send(entry, late.signal);
  stop.removeEventListener("abort", limit);
}

/** Random, so that the agents of a farm do not ask in step; half as long while no machine is free. */
function sleepSeconds(longestSeconds: number, noMachine: boolean): number {
  const seconds = longestSeconds * (5 / 6 + Math.random() / 6);
  return noMachine ? seconds / 2 : seconds;
}

async function pause(seconds: number, { stop, drain }: SignalWatch): Promise<void> {
  await sleep(seconds * 1000, undefined, { signal: AbortSignal.any([stop, drain]) }).catch(() => {});
  stop.throwIfAborted();
}

/** Two agents of one name would clean up each other's machines. */
function lockInstance(settings: Settings, spool: Spool): Disposable {
  const path = join(spool.directory, "lock");
  const lock = tryLockFile(path);
  if (lock) return lock;
  throw new Failure(
    `start instance ${settings.instance} of toolchain ${settings.toolchain.name}`,
    `it is running already ('${path}' is locked)`,
    {
      hints: ["Give another number with --instance, or another spool."],
    },
  );
}

async function openContext(settings: Settings, spool: Spool, log: Log): Promise<Context> {
  const signer = settings.authKey === undefined ? undefined : openSigner(settings.authKey);
  const directories = directoriesOf(settings);
  const client = new HttpClient({ ...settings, agent: `croft/${packageVersion}` });
  const workerVersion = await provideWorker(directories.toolchain);
  const needsMachines = settings.fakeMachine === undefined;
  return {
    settings,
    directories,
    log,
    signer,
    client,
    spool,
    storage: await openStorage(
      needsMachines ? settings.machines : settings.tftp,
      needsMachines ? settings.storage : "directory",
      log,
    ),
    polling: new Polling(settings.controllers, client, log),
    delivery: new Delivery(client, spool, log),
    status: new Status(log, settings.systemd),
    workerVersion,
    hostName: hostname(),
  };
}

function tellFacts({ settings, log, signer, workerVersion }: Context): void {
  const { toolchain } = settings;
  const facts: Record<string, unknown> = {
    version: packageVersion,
    worker: workerVersion,
    cpu: settings.cpus,
    "ram KiB": settings.ramKiB,
    network: "user",
    "key fingerprint": signer?.fingerprint,
    interactive: "false",
    toolchain: `${toolchain.name} ${toolchain.number} ${toolchain.version} ${toolchain.id}`.trim(),
    instance: settings.instance,
  };
  for (const [fact, value] of Object.entries(facts))
    if (value !== undefined) log.info(`${fact}: ${String(value)}`);
  for (const { url, priority } of settings.controllers)
    log.info(`controller: ${String(priority).padStart(4, "0")}=${url}`);
}
