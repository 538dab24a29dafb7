/**
 * A process that does what an agent does with its machines, over and over, and checks that it is alone with what it
 * has locked and that all of it is whole: `node contender.ts <machines> <toolchain lock> <claims> <instance>`.
 *
 * Prints a line a round. Ends with status 1 and `violation: …` if a promise was broken.
 */
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Failure } from "../../os/failure.ts";
import { tryLockFile } from "../../os/files/flock.ts";
import { silentLog } from "../../os/log.ts";
import { BootstrapBackoff } from "../../machines/enumeration/bootstrap-backoff.ts";
import { BootstrapWaits } from "../../machines/enumeration/bootstrap-waits.ts";
import { enumerateMachines } from "../../machines/enumeration/enumerate.ts";
import type { LockedMachine, PendingBootstrap } from "../../machines/enumeration/enumeration.ts";
import type { MachinePaths } from "../../machines/layout.ts";
import { publishBootstrapped } from "../../machines/enumeration/pending-bootstrap.ts";
import { removeStaleSnapshots } from "../../machines/stale.ts";
import { openStorage } from "../../machines/open-storage.ts";
import { temporarySnapshot } from "../../machines/temporary-snapshot.ts";
import { takeToolchainLock } from "../../machines/toolchain-lock.ts";
import { patienceMs } from "../fixtures/patience.ts";

const [directory, lockPath, claims, instanceText] = process.argv.slice(2) as [string, string, string, string];
const instance = Number(instanceText);
const log = silentLog();
const storage = await openStorage(directory, "auto", log);

function violation(text: string): never {
  process.stdout.write(`violation: ${text}\n`);
  process.exit(1);
}

/**
 * Another kernel lock, which the code under test does not know: it must be free whenever the machine lock is ours.
 * One for each directory, as a machine and its double in another volume are two: while an operator replaces the
 * first, the other counts, and whoever has taken it keeps it.
 */
function claim({ volume, name }: MachinePaths): Disposable {
  const lock = tryLockFile(join(claims, `${volume}-${name}`));
  return lock ?? violation(`machine ${name} of volume ${volume} is held by two processes`);
}

/** Every file of a machine carries its id; a mixture would be a half-written or half-removed machine. */
function assertWhole(path: string, id: string): void {
  const files = readdirSync(path).filter((name) => name !== "manifest");
  if (files.length < 10) violation(`${path} has ${files.length} files only`);
  for (const file of files)
    if (readFileSync(join(path, file), "utf8") !== id) violation(`${path}/${file} is not of ${id}`);
}

async function bootstrap(pending: PendingBootstrap): Promise<void> {
  assertWhole(pending.snapshot.path, pending.manifest.id);
  await publishBootstrapped(storage, pending, {
    machine: { ...pending.manifest, mac: "02:00:00:00:00:01" },
    toolchain: { id: "bogus" },
    bootstrap: { versions: {} },
  });
}

async function perform(machine: LockedMachine): Promise<void> {
  const { paths, manifest, lock } = machine;
  const options = { from: paths.bootstrapped, paths, instance, mode: "clone" as const, log };
  await using snapshot = await temporarySnapshot(storage, options);
  assertWhole(snapshot.path, manifest.machine.id);
  await sleep(Math.random() * 10);
  if (Math.random() < 0.3) lock.truncate();
}

async function round(): Promise<string> {
  await using resources = new AsyncDisposableStack();
  let chosen: LockedMachine | undefined;
  let pending: PendingBootstrap | undefined;
  {
    using toolchainLock = await takeToolchainLock(lockPath, log, AbortSignal.timeout(patienceMs));
    await using found = await enumerateMachines(
      {
        directory,
        toolchain: { name: "gcc", id: "" },
        instance,
        instanceMax: 0,
        workerVersion: undefined,
        storage,
        bootstrapBackoff: new BootstrapBackoff(),
        bootstrapWaits: new BootstrapWaits(),
        copies: 1,
        log,
        pause: () => sleep(1),
      },
      toolchainLock,
    );
    const locked = found.machines.filter((machine) => machine.state === "locked");
    {
      using all = new DisposableStack();
      for (const { paths } of locked) all.use(claim(paths));
      for (const { paths, manifest } of locked) assertWhole(paths.bootstrapped, manifest.machine.id);
    }
    if (found.pending && Math.random() < 0.8) {
      pending = resources.use(found.takePending());
      pending.lock.write(toolchainLock);
      resources.use(claim(pending.paths));
    } else {
      chosen = locked[Math.floor(Math.random() * locked.length)];
      if (chosen) {
        chosen.lock.write(toolchainLock, 1000 + instance);
        resources.use(found.take(chosen));
        resources.use(claim(chosen.paths));
      }
    }
  }
  if (pending) await bootstrap(pending);
  else if (chosen) await perform(chosen);
  return pending ? "bootstrap" : chosen ? "task" : "nothing";
}

await removeStaleSnapshots({ directory, toolchain: "gcc", instance, storage, log });
while (existsSync(claims)) {
  let did: string;
  try {
    did = await round();
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    did = "failure"; // the operator removed the machine under us: reported, not a crash
  }
  process.stdout.write(`${did}\n`);
}
