/**
 * One round under the toolchain lock: looks through the machines and asks the controllers.
 *
 * The order of the locks (machines.md): the toolchain lock is held from before the machines are looked through until
 * the lock of the one machine that is kept says what it is kept for; all other machine locks are released before it.
 */
import { Failure } from "../host/failure.ts";
import type { BootstrapBackoff } from "../machines/bootstrap-backoff.ts";
import { enumerateMachines } from "../machines/enumerate.ts";
import type { Enumeration, LockedMachine, PendingBootstrap } from "../machines/enumeration.ts";
import { fakeEnumeration } from "../machines/fake-machine.ts";
import { readNamedManifest } from "../machines/manifest-files.ts";
import { takeToolchainLock, type ToolchainLock } from "../machines/toolchain-lock.ts";
import type { BootstrappedMachine } from "../manifests/bootstrapped-machine.ts";
import { parseTask } from "../manifests/task.ts";
import type { TaskRequest } from "../manifests/task-request.ts";
import type { Context } from "./context.ts";
import type { ReceivedTask } from "./polling.ts";
import type { Interruption, SignalWatch } from "./signals.ts";
import type { TaskMachine } from "./task.ts";

/** What to do now; disposing gives back what it holds. */
export type Work = AsyncDisposable &
  (
    | { kind: "bootstrap"; pending: PendingBootstrap }
    | { kind: "task"; received: ReceivedTask; machine: TaskMachine; interruption: Interruption }
    | { kind: "machines"; machines: BootstrappedMachine[] }
    | { kind: "nothing"; machines: number }
  );

/** @throws {Failure} if the machines cannot be looked through; the signal's reason if aborted. */
export async function nextWork(
  context: Context,
  bootstrapBackoff: BootstrapBackoff,
  signals: SignalWatch,
): Promise<Work> {
  const { settings, log, status } = context;
  const signal = signals.stop;
  status.set("waiting for the toolchain lock");
  using toolchainLock = await takeToolchainLock(settings.toolchainLock, log, signal);
  status.set("looking through the machines");
  await using enumeration = await enumerate(context, bootstrapBackoff, toolchainLock, signal);
  status.ready();
  if (enumeration.pending) {
    enumeration.pending.lock.write(toolchainLock);
    const pending = enumeration.takePending();
    return { kind: "bootstrap", pending, [Symbol.asyncDispose]: () => pending[Symbol.asyncDispose]() };
  }
  const machines = enumeration.machines.filter(
    (machine): machine is LockedMachine => machine.state === "locked",
  );
  if (settings.dump === "machines")
    return {
      kind: "machines",
      machines: machines.map(({ manifest }) => manifest),
      [Symbol.asyncDispose]: nothing,
    };
  const received =
    machines.length === 0 && settings.fakeRequest === undefined
      ? undefined
      : await receive(context, machines, signal);
  if (received === undefined)
    return { kind: "nothing", machines: machines.length, [Symbol.asyncDispose]: nothing };
  const machine = machines.find(({ manifest }) => manifest.machine.name === received.task.machine);
  if (!machine)
    throw new Failure(
      `perform task '${received.task.name}'`,
      `there is no machine '${received.task.machine}'`,
    );
  machine.lock.write(toolchainLock, received.controller.priority);
  const lock = enumeration.take(machine);
  // Whoever sees the priority that was just written may interrupt; nobody can before the toolchain lock is released.
  const interruption = signals.armInterruption();
  return {
    kind: "task",
    received,
    machine: { paths: machine.paths, bootstrapped: machine.manifest, lock },
    interruption,
    [Symbol.asyncDispose]: async () => {
      using _lock = lock;
      using _interruption = interruption;
    },
  };
}

function enumerate(
  context: Context,
  bootstrapBackoff: BootstrapBackoff,
  toolchainLock: ToolchainLock,
  signal: AbortSignal,
): Promise<Enumeration> {
  const { settings, storage, workerVersion, log } = context;
  if (settings.fakeMachine !== undefined)
    return Promise.resolve(fakeEnumeration(settings.fakeMachine, settings.toolchain));
  const { name, id } = settings.toolchain;
  return enumerateMachines(
    {
      directory: settings.machines,
      toolchain: { name, id },
      instance: settings.instance,
      instanceMax: 0,
      workerVersion,
      storage,
      bootstrapBackoff,
      log,
      signal,
    },
    toolchainLock,
  );
}

async function receive(
  context: Context,
  machines: readonly LockedMachine[],
  signal: AbortSignal,
): Promise<ReceivedTask | undefined> {
  const { settings, polling, status } = context;
  if (settings.fakeRequest !== undefined) return fakeReceived(settings.fakeRequest);
  status.set("asking the controllers");
  return polling.ask(taskRequest(context, machines), signal);
}

/** What this agent offers. */
function taskRequest(
  { settings, signer, hostName }: Context,
  machines: readonly LockedMachine[],
): TaskRequest {
  return {
    agent: hostName,
    toolchainName: settings.toolchain.name,
    toolchainVersion: settings.toolchain.version,
    ...(signer ? { fingerprint: signer.fingerprint } : {}),
    machines: machines.map(({ manifest: { machine } }) => ({
      id: machine.id,
      name: machine.name,
      summary: machine.summary,
      ...(machine.role === undefined ? {} : { role: machine.role }),
      ...(machine.ramMinimumKiB === undefined ? {} : { ramMinimumKiB: machine.ramMinimumKiB }),
      ...(machine.ramMaximumKiB === undefined ? {} : { ramMaximumKiB: machine.ramMaximumKiB }),
    })),
  };
}

/** The task of `--fake-request`: as if a controller had given it, without challenge and without URLs. */
function fakeReceived(file: string): ReceivedTask {
  const task = readNamedManifest(file, "the task", parseTask);
  return {
    controller: { url: `file ${file}`, priority: 0 },
    response: { session: "fake-session", uploadUrls: {}, task },
    task,
  };
}

async function nothing(): Promise<void> {}
