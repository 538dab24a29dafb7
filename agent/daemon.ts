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
import { Failure } from "../host/failure.ts";
import { tryLockFile } from "../host/flock.ts";
import type { Log } from "../host/log.ts";
import { packageVersion } from "../host/package.ts";
import { openStorage } from "../machines/storage.ts";
import { Interrupted, type Context } from "./context.ts";
import { Delivery } from "./delivery.ts";
import { directoriesOf, provideWorker } from "./directories.ts";
import { HttpClient } from "./http.ts";
import { Polling } from "./polling.ts";
import { recover } from "./recovery.ts";
import { instanceName, type Settings } from "./settings.ts";
import { openSigner } from "./signing.ts";
import { watchSignals } from "./signals.ts";
import { Spool } from "./spool.ts";
import { Status } from "./status.ts";
import { workLoop } from "./work-loop.ts";

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
    const context = await openContext(settings, spool, log, signals.stop);
    if (settings.systemd) tellFacts(context);
    await recover(context);
    await workLoop(context, signals);
  } catch (error) {
    if (!(error instanceof Interrupted)) throw error;
  }
  log.info("agent ended");
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

async function openContext(settings: Settings, spool: Spool, log: Log, stop: AbortSignal): Promise<Context> {
  const signer = settings.authKey === undefined ? undefined : openSigner(settings.authKey);
  const directories = directoriesOf(settings);
  const client = new HttpClient({ ...settings, agent: `croft/${packageVersion}` });
  const workerVersion = await provideWorker(directories.toolchain);
  const needsMachines = settings.fakeMachine === undefined;
  return {
    settings,
    directories,
    log,
    client,
    spool,
    storage: await openStorage(
      needsMachines ? settings.machines : settings.tftp,
      needsMachines ? settings.storage : "directory",
      log,
    ),
    polling: new Polling({
      controllers: settings.controllers,
      client,
      signer,
      requestTimeoutSeconds: settings.requestTimeoutSeconds,
      log,
    }),
    delivery: new Delivery(client, spool, log),
    status: new Status(log, settings.systemd),
    workerVersion,
    signer,
    hostName: hostname(),
    stop,
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
