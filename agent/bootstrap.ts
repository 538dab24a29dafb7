/** Bootstraps one machine for the toolchain: boots a snapshot of it, and publishes what became of that. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Log } from "../host/log.ts";
import { publishBootstrapped, type PendingBootstrap } from "../machines/pending-bootstrap.ts";
import { parseBootstrap, type Bootstrap } from "../manifests/bootstrap.ts";
import { ManifestError } from "../manifests/error.ts";
import { boot, randomMac } from "./boot.ts";
import type { Context } from "./context.ts";
import { freshDirectories } from "./directories.ts";
import { keepEvidence } from "./evidence.ts";
import type { Exchange } from "./exchange.ts";

/** The second is the name that older workers use. */
const bootstrapFiles = ["bootstrap.manifest", "manifest"] as const;
const shutdownTimeoutSeconds = 300;

/**
 * Bootstraps a machine; the caller holds its lock.
 *
 * @returns false if the machine failed, which has been logged.
 * @throws {Failure} for a fault of the farm itself; the signal's reason if aborted.
 */
export async function bootstrapMachine(
  context: Context,
  pending: PendingBootstrap,
  signal: AbortSignal,
): Promise<boolean> {
  const { settings, directories } = context;
  const log = context.log.child({ machine: pending.manifest.name, toolchain: settings.toolchain.name });
  log.info({ snapshot: pending.snapshot.path }, "bootstrapping");
  if (settings.fakeBootstrap) {
    const versions: Record<string, string> =
      context.workerVersion === undefined ? {} : { croft: context.workerVersion };
    await publish(context, pending, "de:ad:be:ef:de:ad", { versions });
    return true;
  }
  await using _files = await freshDirectories(directories.bootstrap);
  const mac = pending.manifest.mac ?? pending.obsolete?.machine.mac ?? randomMac();
  const booted = await boot({
    settings,
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
  const bootstrap = await serve(context, pending, exchange, log, signal);
  if (bootstrap === undefined) return false;
  if (!(await exchange.machine!.shutdown(shutdownTimeoutSeconds))) {
    await softFail(
      context,
      pending,
      exchange,
      `it did not shut down within ${shutdownTimeoutSeconds} s`,
      log,
    );
    return false;
  }
  await publish(context, pending, mac, bootstrap);
  log.info({ versions: bootstrap.versions }, "bootstrapped");
  return true;
}

/** Serves files until the machine has sent its bootstrap manifest. */
async function serve(
  context: Context,
  pending: PendingBootstrap,
  exchange: Exchange,
  log: Log,
  signal: AbortSignal,
): Promise<Bootstrap | undefined> {
  const { bootstrapTimeoutSeconds } = context.settings;
  const waited = await exchange.waitForUpload(bootstrapFiles, bootstrapTimeoutSeconds, signal);
  if (waited.kind === "ended") {
    await softFail(
      context,
      pending,
      exchange,
      `it ended before its bootstrap manifest: ${waited.end.detail}`,
      log,
    );
    return undefined;
  }
  if (waited.kind === "timeout") {
    await softFail(
      context,
      pending,
      exchange,
      `no bootstrap manifest within ${bootstrapTimeoutSeconds} s`,
      log,
    );
    return undefined;
  }
  const file = join(context.directories.bootstrap, waited.file);
  try {
    return parseBootstrap(await readFile(file), { lenient: true, source: waited.file });
  } catch (error) {
    if (!(error instanceof ManifestError)) throw error;
    await softFail(context, pending, exchange, error.message, log, [file]);
    return undefined;
  }
}

async function publish(
  context: Context,
  pending: PendingBootstrap,
  mac: string,
  bootstrap: Bootstrap,
): Promise<void> {
  const id = context.settings.toolchain.id === "" ? "bogus" : context.settings.toolchain.id;
  await publishBootstrapped(context.storage, pending, {
    machine: { ...pending.manifest, mac },
    toolchain: { id },
    bootstrap,
  });
}

/** Tells the operator about a machine that misbehaved, and keeps what can be looked at. */
async function softFail(
  context: Context,
  pending: PendingBootstrap,
  exchange: Exchange,
  reason: string,
  log: Log,
  files: string[] = [],
): Promise<void> {
  const all = [...files, ...(exchange.machine ? [exchange.machine.consoleFile] : [])];
  const evidence = await keepEvidence(context.directories.evidence, pending.manifest.name, all, log);
  log.error({ reason, evidence, description: exchange.machine?.describe() }, "bootstrap failed");
}
