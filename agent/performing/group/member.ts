/** One auxiliary machine of a task: restores or boots it, and waits until it says where its services are. */
import { readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { attempt, Failure } from "../../../os/failure.ts";
import { freshDirectories, removeDirectories } from "../../../os/files/directories.ts";
import { withoutUndefined } from "../../../os/without-undefined.ts";
import { macOfCopy } from "../../../machines/copies.ts";
import type { GroupPort } from "../../../machines/virtual-machine.ts";
import { OwnMemory } from "../../../machines/warm/own-memory.ts";
import { boot, randomMac } from "../boot.ts";
import type { PerformingContext } from "../context.ts";
import type { Exchange } from "../exchange.ts";
import { LogTail } from "../log-tail.ts";
import { assertRoom } from "../room.ts";
import { findSaved } from "../save-machine.ts";
import { snapshotMaker } from "../task-snapshot.ts";
import { directoriesOfMember, settingsOfMember, type AuxiliaryMachine } from "./auxiliary-machine.ts";
import { environmentMaxBytes, readEnvironment } from "./environment.ts";
import type { Log } from "../../../os/log.ts";

/** What an auxiliary machine uploads once its services are there. */
export const environmentFile = "auxiliary-environment";

/** An auxiliary machine that is up; or why it is not: what is left of it is in its stack. */
export type Member = { machine: AuxiliaryMachine; context: PerformingContext; tail: LogTail } & (
  { exchange: Exchange; variables: string[] } | { failed: string; exchange?: Exchange; files: string[] }
);

/**
 * Starts an auxiliary machine.
 *
 * @param number among those of the task, from 1
 * @throws {Failure} for a fault of the farm; the signal's reason if aborted.
 */
export async function startMember(
  context: PerformingContext,
  { number, machine, port, log }: { number: number; machine: AuxiliaryMachine; port: GroupPort; log: Log },
  stack: AsyncDisposableStack,
  signal: AbortSignal,
): Promise<Member> {
  const settings = settingsOfMember(context.settings, number, machine.ramKiB);
  const own: PerformingContext = { ...context, settings };
  const { home, readable, writable } = directoriesOfMember(context.directories, number);
  stack.defer(() => removeDirectories(home, settings.runtime));
  await freshDirectories(home, readable, writable);
  await attempt(`write '${readable}'`, writeFile(join(readable, "auxiliary"), `${machine.name}\n`));
  const tail = new LogTail();
  const { paths, bootstrapped } = machine;
  const { mac = randomMac() } = bootstrapped.machine;
  const run = { machine, log, interruption: { signal } };
  const ownMemory = stack.use(new OwnMemory());
  const booted = await boot({
    ...{ settings, startMachine: context.startMachine, phases: undefined, tftpPort: undefined },
    ...{ machine: bootstrapped.machine, readable, writable, group: port },
    mac: settings.network.kind === "bridge" ? macOfCopy(mac, paths.copy) : mac,
    snapshot: snapshotMaker(context, run, stack),
    ...withoutUndefined({
      saved: findSaved(settings, run, (disks) => snapshotMaker(context, run, stack, disks)),
    }),
    ownMemory,
    startupTimeoutSeconds: settings.startupTimeoutSeconds.build,
    ...{ retries: settings.buildRetries, evidence: context.directories.evidence },
    onLog: (chunk) => tail.write(chunk),
    ...{ log, signal },
  });
  const member = { machine, context: own, tail };
  const failed = (why: string, exchange?: Exchange, files: string[] = []) => ({
    ...{ ...member, failed: why, files },
    ...(exchange && { exchange }),
  });
  if (!("exchange" in booted)) return failed(`it ended before its first sign of life: ${booted.end.detail}`);
  const exchange = stack.use(booted.exchange);
  if ("failed" in booted) return failed(`it did not come up: ${booted.reason}`, exchange);
  log.milestone("auxiliary machine is up");
  const { auxiliaryTimeoutSeconds: seconds } = settings;
  const waited = await exchange.waitForUpload([environmentFile], seconds, signal);
  if (waited.kind === "ended") {
    assertRoom(paths.name, waited.end);
    return failed(`it ended before its services were up: ${waited.end.detail}`, exchange);
  }
  if (waited.kind === "timeout") return failed(`its services were not up within ${seconds} s`, exchange);
  const file = join(writable, environmentFile);
  try {
    const variables = readEnvironment(machine.name, await environmentIn(file));
    log.milestone({ variables: variables.length }, "services of an auxiliary machine are up");
    return { ...member, exchange, variables };
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    return failed(error.message, exchange, [file]);
  }
}

async function environmentIn(file: string): Promise<Uint8Array> {
  const { size } = await attempt(`read '${file}'`, stat(file));
  if (size > environmentMaxBytes)
    throw new Failure("read its environment", `it has more than ${environmentMaxBytes} bytes`);
  return await attempt(`read '${file}'`, readFile(file));
}
