/** Bootstraps one machine for the toolchain: boots a snapshot of it, and publishes what became of that. */
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { attempt } from "../../os/failure.ts";
import type { Log } from "../../os/log.ts";
import { withoutUndefined } from "../../os/without-undefined.ts";
import { bogusToolchainId, fakeMac } from "../../machines/enumeration/fake-machine.ts";
import { publishBootstrapped, type PendingBootstrap } from "../../machines/enumeration/pending-bootstrap.ts";
import { parseBootstrap, type Bootstrap } from "../../manifests/bootstrap.ts";
import type { Machine } from "../../manifests/machine.ts";
import { ManifestError } from "../../manifests/error.ts";
import type { BootstrappedMachine } from "../../manifests/bootstrapped-machine.ts";
import { boot, randomMac } from "./boot.ts";
import type { PerformingContext } from "./context.ts";
import { freshDirectories, removeDirectories } from "../../os/files/directories.ts";
import type { Exchange } from "./exchange.ts";
import { environmentFile } from "./group/member.ts";
import { assertRoom } from "./room.ts";
import { saveMachine } from "./save-machine.ts";
import { softFail } from "./soft-fail.ts";

/** The second is the name that older workers use. */
const bootstrapFiles = ["bootstrap.manifest", "manifest"] as const;
/** What an auxiliary machine may do in each boot, and no more: one that has no worker to be installed is ready then. */
const auxiliaryFiles = [...bootstrapFiles, environmentFile] as const;
const bootstrapMaxBytes = 64 * 1024;
const shutdownTimeoutSeconds = 300;

/** The machine's fault, as opposed to the farm's: a reason to leave it alone for a while. */
interface MachineFault {
  fault: string;
  files?: string[];
}

/**
 * Bootstraps a machine; the caller holds its lock.
 *
 * @returns false if the machine failed, which has been logged.
 * @throws {Failure} for a fault of the farm itself; the signal's reason if aborted.
 */
export async function bootstrapMachine(
  context: PerformingContext,
  pending: PendingBootstrap,
  signal: AbortSignal,
): Promise<boolean> {
  const { settings, directories } = context;
  const log = context.log.child({ machine: pending.manifest.name, toolchain: settings.toolchain.name });
  log.info({ snapshot: pending.snapshot.path }, "bootstrapping");
  if (settings.fakeBootstrap) {
    const versions = withoutUndefined({ croft: context.workerVersion });
    await publish(context, pending, fakeMac, { versions });
    return true;
  }
  await freshDirectories(directories.bootstrap);
  try {
    return await bootAndPublish(context, pending, log, signal);
  } finally {
    await removeDirectories(directories.bootstrap);
  }
}

async function bootAndPublish(
  context: PerformingContext,
  pending: PendingBootstrap,
  log: Log,
  signal: AbortSignal,
): Promise<boolean> {
  const { settings, directories } = context;
  const mac = pending.manifest.mac ?? pending.obsolete?.machine.mac ?? randomMac();
  const booted = await boot({
    settings,
    startMachine: context.startMachine,
    phases: context.phases,
    tftpPort: context.tftpPort,
    machine: pending.manifest,
    mac,
    snapshot: () => Promise.resolve(pending.snapshot.path),
    readable: directories.toolchain,
    writable: directories.bootstrap,
    startupTimeoutSeconds: settings.startupTimeoutSeconds.bootstrap,
    retries: settings.bootstrapRetries,
    evidence: directories.evidence,
    log,
    signal,
  });
  if (!("exchange" in booted)) return false;
  await using exchange = booted.exchange;
  context.status.advance("bootstrapping");
  const bootstrap =
    "failed" in booted ? { fault: booted.reason } : await serve(context, pending.manifest, exchange, signal);
  const fault = "fault" in bootstrap ? bootstrap : await shutDown(exchange, signal);
  if (fault !== undefined) {
    const { fault: reason, files = [] } = fault;
    const failed = { name: pending.manifest.name, exchange, lock: pending.lock, files, reason, log };
    const held = await softFail(context, failed, "bootstrap failed");
    await held?.untilEnded(signal);
    return false;
  }
  const { versions } = bootstrap as Bootstrap;
  const bootstrapped = await publish(context, pending, mac, { versions });
  log.info({ versions }, "bootstrapped");
  await exchange[Symbol.asyncDispose]();
  context.status.advance("saving");
  await saveMachine(context, { paths: pending.paths, bootstrapped }, signal);
  return true;
}

/** Serves files until the machine has sent its bootstrap manifest. */
async function serve(
  context: PerformingContext,
  { name: machine, role }: Machine,
  exchange: Exchange,
  signal: AbortSignal,
): Promise<Bootstrap | MachineFault> {
  const { bootstrapTimeoutSeconds } = context.settings;
  const files = role === "auxiliary" ? auxiliaryFiles : bootstrapFiles;
  const waited = await exchange.waitForUpload(files, bootstrapTimeoutSeconds, signal);
  if (waited.kind === "ended") {
    assertRoom(machine, waited.end);
    return { fault: `it ended before its bootstrap manifest: ${waited.end.detail}` };
  }
  if (waited.kind === "timeout")
    return { fault: `no bootstrap manifest within ${bootstrapTimeoutSeconds} s` };
  if (waited.file === environmentFile) return { versions: {} };
  const file = join(context.directories.bootstrap, waited.file);
  const read = stat(file).then(({ size }) => (size > bootstrapMaxBytes ? undefined : readFile(file)));
  const text = await attempt(`read '${file}'`, read);
  if (text === undefined)
    return { fault: `its bootstrap manifest has more than ${bootstrapMaxBytes} bytes`, files: [file] };
  try {
    return parseBootstrap(text, { lenient: true, source: waited.file });
  } catch (error) {
    if (!(error instanceof ManifestError)) throw error;
    return { fault: error.message, files: [file] };
  }
}

/** Lets the machine end by itself: its disk becomes a template. */
async function shutDown(exchange: Exchange, signal: AbortSignal): Promise<MachineFault | undefined> {
  signal.throwIfAborted();
  const aborted = Promise.withResolvers<never>();
  const onAbort = () => aborted.reject(signal.reason as Error);
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    const ended = await Promise.race([exchange.machine!.shutdown(shutdownTimeoutSeconds), aborted.promise]);
    return ended ? undefined : { fault: `it did not shut down within ${shutdownTimeoutSeconds} s` };
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

async function publish(
  context: PerformingContext,
  pending: PendingBootstrap,
  mac: string,
  bootstrap: Bootstrap,
): Promise<BootstrappedMachine> {
  const id = context.settings.toolchain.id === "" ? bogusToolchainId : context.settings.toolchain.id;
  const machine = { ...pending.manifest, mac };
  const bootstrapped = { machine, toolchain: { id }, bootstrap };
  await publishBootstrapped(context.storage, pending, bootstrapped);
  return bootstrapped;
}
