/**
 * One round under the toolchain lock: looks through the machines and asks the controllers.
 *
 * The order of the locks (machines.md): the toolchain lock is held from before the machines are looked through until
 * the lock of the one machine that is kept says what it is kept for; all other machine locks are released before it.
 */
import { Failure } from "../os/failure.ts";
import { lockOthers } from "../machines/copies.ts";
import type { BootstrapBackoff } from "../machines/enumeration/bootstrap-backoff.ts";
import type { BootstrapWaits } from "../machines/enumeration/bootstrap-waits.ts";
import type { EnumerationContext } from "../machines/enumeration/enumeration-context.ts";
import { enumerateMachines } from "../machines/enumeration/enumerate.ts";
import type { Enumeration, LockedMachine, PendingBootstrap } from "../machines/enumeration/enumeration.ts";
import { fakeEnumeration } from "../machines/enumeration/fake-machine.ts";
import { readNamedManifest } from "../machines/manifest-files.ts";
import type { MachineHold } from "../machines/locks.ts";
import { takeToolchainLock, type ToolchainLock } from "../machines/toolchain-lock.ts";
import type { BootstrappedMachine } from "../manifests/bootstrapped-machine.ts";
import { agentOperation, refusedHere } from "../manifests/result.ts";
import { parseTask, type Task } from "../manifests/task.ts";
import type { Backoff } from "../os/backoff.ts";
import type { TaskMachine } from "./performing/build.ts";
import { shareRam } from "./settings/auxiliary.ts";
import { isToBeSaved, type WarmSubject } from "./settings/warm.ts";
import { acquireMachine, type Abandoned, type Acquired } from "./asking/acquire-machine.ts";
import type { Context } from "./context.ts";
import { loadOf } from "./asking/interrupter.ts";
import { GroupLock } from "./asking/group-lock.ts";
import { MachineWatch } from "./asking/machine-watch.ts";
import { copiesOf } from "./task-state/instance-lock.ts";
import { isAuxiliary, machinesFor, taskRequest, type Offered } from "./asking/offer.ts";
import type { Refusal, Refusals } from "./asking/polling.ts";
import { auxiliariesOf, takeAuxiliaries, type TakenMachine } from "./asking/take-auxiliaries.ts";
import { resultRequest } from "./results/record-result.ts";
import { agentResult } from "./results/result.ts";
import { assignmentOf } from "./task-state/assignment.ts";
import type { ReceivedTask } from "./task-state/received-task.ts";
import { isFull } from "./asking/priority.ts";
import type { SignalWatch } from "./signals.ts";
import type { Interruption } from "./task-state/interruption.ts";
import type { SpoolEntry } from "./task-state/spool.ts";

/** A task with its machine; or without one, if that could not be had. */
export interface TaskWork {
  kind: "task";
  received: ReceivedTask;
  machine: TaskMachine;
  interruption: Interruption;
  /** If it was written down already. */
  begun?: SpoolEntry;
}

export interface AbandonedWork {
  kind: "abandoned";
  received: ReceivedTask;
  abandoned: Abandoned;
}

/** What to do now; disposing gives back what it holds. */
export type Work = AsyncDisposable &
  (
    | { kind: "bootstrap"; pending: PendingBootstrap }
    /** A machine to be saved where it waits for a task, while there is none. */
    | { kind: "save"; machine: TaskMachine }
    /** A machine to be restored ahead of its next task, likewise. */
    | { kind: "ahead"; machine: TaskMachine }
    | TaskWork
    | AbandonedWork
    /** For a mode that prints it. */
    | { kind: "dump"; task: Task }
    | { kind: "machines"; machines: BootstrappedMachine[] }
    /**
     * `full`: as many instances are busy as may be; `refused`: answers to tasks that cannot be performed here are in the
     * spool; `changed` is aborted when there is something else to offer.
     */
    | { kind: "nothing"; machines: number; full: boolean; refused: boolean; changed: AbortSignal }
  );

/** What a round needs of a running agent. */
export interface RoundContext extends Pick<
  Context,
  "settings" | "log" | "storage" | "workerVersion" | "hostName" | "signer" | "spool"
> {
  directories: Pick<Context["directories"], "get" | "put">;
  polling: Pick<Context["polling"], "ask">;
  status: Pick<Context["status"], "set" | "ready">;
  metrics: Pick<Context["metrics"], "enumerated">;
  signs: Pick<Context["signs"], "show">;
  phases: Pick<Context["phases"], "time">;
  /** Whether a machine that is free is to be restored ahead of its next task. */
  isWantedAhead: (subject: WarmSubject) => Promise<boolean>;
}

/** What is remembered of failures, for the time of the process. */
export interface Backoffs {
  bootstrap: BootstrapBackoff;
  /** Of machines that are to be bootstrapped, and are in use. */
  waits: BootstrapWaits;
  /** By controller's URL. */
  interruption: Backoff<string>;
}

/**
 * The end of the agent ends it at any point; draining as long as there is no work: a bootstrap is not begun and no
 * further controller is asked, but a task that one has given is performed.
 *
 * @throws {Failure} if the machines cannot be looked through; a signal's reason if aborted.
 */
export async function nextWork(
  context: RoundContext,
  backoffs: Backoffs,
  signals: SignalWatch,
): Promise<Work> {
  const { settings, log, status, metrics } = context;
  const signal = signals.stop;
  using looking = context.phases.time("enumeration");
  status.set("locking");
  using toolchainLock = await takeToolchainLock(
    settings.toolchainLock,
    log,
    AbortSignal.any([signal, signals.drain]),
  );
  status.set("enumerating");
  const enumerationContext = enumerationOptions(context, backoffs, signal);
  await using enumeration = await enumerate(context, enumerationContext, toolchainLock);
  looking[Symbol.dispose]();
  metrics.enumerated(enumeration);
  status.ready();
  signals.drain.throwIfAborted();
  if (enumeration.pending) {
    enumeration.pending.lock.write(toolchainLock);
    const pending = enumeration.takePending();
    return { kind: "bootstrap", pending, [Symbol.asyncDispose]: () => pending[Symbol.asyncDispose]() };
  }
  const free = enumeration.machines.filter((machine) => machine.state === "locked");
  if (settings.dump === "machines")
    return {
      kind: "machines",
      machines: free.map(({ manifest }) => manifest),
      [Symbol.asyncDispose]: nothing,
    };
  const refusals = new RefusedTasks(context.spool, settings.ramKiB);
  const given = await receive(context, { enumeration, free, refusals }, backoffs.interruption, signals);
  if (given === undefined) {
    signals.drain.throwIfAborted();
    return await withoutTask(context, { enumeration, free, toolchainLock, refused: refusals.count > 0 });
  }
  const { received } = given;
  // From now on: until the machine is free, others may have to give way first.
  context.signs.show({ session: received.response.session, aliveUrl: received.aliveUrl }, "building");
  if (signal.aborted) return abandoned(received, { status: "interrupt", reason: "the agent was stopped" });
  if (settings.dump === "task") return { kind: "dump", task: received.task, [Symbol.asyncDispose]: nothing };
  const group = takeAuxiliaries(received.task, {
    ...{ toolchainLock, enumeration, copies: enumerationContext.copies, ramKiB: settings.ramKiB },
    auxiliaryRamKiB: refusals.auxiliaryRamKiB,
  });
  if (!Array.isArray(group)) return abandoned(received, { status: "interrupt", reason: group.reason });
  using onFailure = new DisposableStack();
  for (const { lock } of group) onFailure.use(lock);
  const acquired = await acquireMachine({
    ...{ context, enumerationContext, toolchainLock, enumeration, ...given, signal },
    interruptionBackoff: backoffs.interruption,
  });
  const work = begin(received, acquired, group, toolchainLock, signals);
  if (work.kind === "task") onFailure.move();
  return work;
}

/** What an instance does that was given no task: it saves a machine, or keeps one ahead, or waits. */
async function withoutTask(
  context: RoundContext,
  round: {
    enumeration: Enumeration;
    free: readonly LockedMachine[];
    toolchainLock: ToolchainLock;
    refused: boolean;
  },
): Promise<Work> {
  const { enumeration, free, toolchainLock, refused } = round;
  const { settings, log } = context;
  const full = isFull(loadOf(enumeration, settings.instanceMax));
  const unsaved = full ? undefined : lockUnsaved(context, enumeration, toolchainLock);
  if (unsaved) return holding("save", unsaved.machine, unsaved.lock, toolchainLock);
  const ahead = full ? undefined : await wantedAhead(context, free);
  if (ahead) return holding("ahead", ahead, enumeration.take(ahead), toolchainLock);
  // As long as the toolchain lock is held, nobody can take one.
  const locks = enumeration.machines.map(({ paths }) => paths.lock);
  const watch = new MachineWatch(locks, log);
  const { changed } = watch;
  const end = async () => watch[Symbol.dispose]();
  return { kind: "nothing", machines: free.length, full, refused, changed, [Symbol.asyncDispose]: end };
}

function isUnsaved({ settings }: RoundContext, { paths, manifest }: LockedMachine): boolean {
  return isToBeSaved(settings, { paths, bootstrapped: manifest });
}

/** A machine that is to be saved, with all its copies: builds on others began in its old state, or in none. */
function lockUnsaved(
  context: RoundContext,
  enumeration: Enumeration,
  toolchainLock: ToolchainLock,
): { machine: LockedMachine; lock: MachineHold } | undefined {
  const { machines } = enumeration;
  const inUse = new Set(machines.flatMap((each) => (each.state === "held" ? each.paths.bootstrapped : [])));
  for (const machine of machines) {
    if (machine.state !== "locked" || inUse.has(machine.paths.bootstrapped)) continue;
    if (!isUnsaved(context, machine)) continue;
    const lock = lockOthers(toolchainLock, machine.lock, copiesOf(context.settings));
    if (!lock) continue;
    enumeration.take(machine);
    return { machine, lock };
  }
  return undefined;
}

async function wantedAhead(
  context: RoundContext,
  free: readonly LockedMachine[],
): Promise<LockedMachine | undefined> {
  for (const machine of free)
    if (await context.isWantedAhead({ paths: machine.paths, bootstrapped: machine.manifest })) return machine;
  return undefined;
}

/** Who looks sees a machine that is being made ready, and does not interrupt. */
function holding(
  kind: "save" | "ahead",
  { paths, manifest }: LockedMachine,
  lock: MachineHold,
  toolchainLock: ToolchainLock,
): Work {
  using onFailure = new DisposableStack();
  onFailure.use(lock);
  lock.write(toolchainLock);
  onFailure.move();
  const machine = { paths, bootstrapped: manifest, lock };
  return { kind, machine, [Symbol.asyncDispose]: async () => lock[Symbol.dispose]() };
}

/** Says for what the machine is held, while nobody can look; from then on the task may be interrupted. */
function begin(
  received: ReceivedTask,
  acquired: Acquired | Abandoned,
  group: readonly TakenMachine[],
  toolchainLock: ToolchainLock,
  signals: SignalWatch,
): Work {
  if ("status" in acquired) return abandoned(received, acquired);
  const begun = acquired.begun ? { begun: acquired.begun } : {};
  const { paths, manifest: bootstrapped, lock: own } = acquired.machine;
  const isAlone = group.length === 0;
  const lock = isAlone
    ? own
    : new GroupLock(
        own,
        group.map((each) => each.lock),
      );
  const more = isAlone ? {} : { group: { machines: group, lock: own } };
  try {
    lock.write(toolchainLock, received.controller.priority);
  } catch (error) {
    lock[Symbol.dispose]();
    if (error instanceof Failure)
      return abandoned(received, { status: "abort", reason: error.message, ...begun });
    throw error;
  }
  // Whoever sees the priority that was just written may interrupt; nobody can before the toolchain lock is released.
  const interruption = signals.armInterruption();
  return {
    ...{ kind: "task", received, machine: { paths, bootstrapped, lock, ...more }, interruption, ...begun },
    [Symbol.asyncDispose]: async () => {
      using _lock = lock;
      using _interruption = interruption;
    },
  };
}

function abandoned(received: ReceivedTask, why: Abandoned): Work {
  return { ...{ kind: "abandoned", received, abandoned: why }, [Symbol.asyncDispose]: nothing };
}

function enumerationOptions(
  { settings, storage, workerVersion, log }: RoundContext,
  { bootstrap: bootstrapBackoff, waits: bootstrapWaits }: Backoffs,
  signal: AbortSignal,
): EnumerationContext {
  const { name, id } = settings.toolchain;
  const { machines: directory, instance, instanceMax } = settings;
  return {
    ...{ directory, toolchain: { name, id }, instance, instanceMax },
    ...{ copies: copiesOf(settings), workerVersion, storage },
    ...{ bootstrapBackoff, bootstrapWaits, log, signal },
  };
}

function enumerate(
  { settings }: RoundContext,
  options: EnumerationContext,
  toolchainLock: ToolchainLock,
): Promise<Enumeration> {
  if (settings.fakeMachine !== undefined)
    return Promise.resolve(fakeEnumeration(settings.fakeMachine, settings.toolchain));
  return enumerateMachines(options, toolchainLock);
}

/** What there is to offer, and what comes of it. */
interface Asking {
  enumeration: Enumeration;
  free: readonly LockedMachine[];
  refusals: RefusedTasks;
}

/** A task, with the machine that it is for. */
interface Given {
  received: ReceivedTask;
  machine: Offered[number];
}

/** Asks the controllers, each for what its priority allows. */
async function receive(
  context: RoundContext,
  { enumeration, free, refusals }: Asking,
  interruptionBackoff: Backoff<string>,
  { stop, drain }: SignalWatch,
): Promise<Given | undefined> {
  const { settings, polling, status } = context;
  const load = loadOf(enumeration, settings.instanceMax);
  if (settings.fakeRequest !== undefined) {
    refusals.auxiliaryRamKiB = taskRequest(context, free).auxiliaryRamKiB ?? 0;
    return given(fakeReceived(settings.fakeRequest), free);
  }
  status.set("polling", isFull(load) ? { reason: "asking for tasks of higher priority" } : {});
  using _asking = context.phases.time("request");
  const received = await polling.ask(
    (controller) => {
      if (drain.aborted) return undefined;
      const mayInterrupt = interruptionBackoff.remainingSeconds(controller.url) === 0;
      refusals.offered = machinesFor(context, controller, free, load, mayInterrupt);
      const request = refusals.offered && taskRequest(context, refusals.offered);
      refusals.auxiliaryRamKiB = request?.auxiliaryRamKiB ?? 0;
      return request;
    },
    stop,
    refusals,
  );
  return received && given(received, refusals.offered ?? []);
}

/** What a task asks for and this host cannot do is refused, and its controller told so. */
class RefusedTasks implements Refusals {
  /** What the controller that is being asked has been offered. */
  offered: Offered | undefined;
  /** What it was told about memory for auxiliary machines. */
  auxiliaryRamKiB = 0;
  count = 0;
  readonly #spool: RoundContext["spool"];
  readonly #ramKiB: number;

  constructor(spool: RoundContext["spool"], ramKiB: number) {
    this.#spool = spool;
    this.#ramKiB = ramKiB;
  }

  reasonFor(task: Task): string | undefined {
    return this.#tooLarge(task) ?? this.#unknown(task);
  }

  #tooLarge(task: Task): string | undefined {
    const free = (this.offered ?? []).filter((machine) => machine.state === "locked");
    const needs = auxiliariesOf(task, free).map(({ machine }) => machine.manifest.machine);
    if (shareRam(this.auxiliaryRamKiB, this.#ramKiB, needs)) return undefined;
    return `its auxiliary machines need more memory than this host has for them (${this.auxiliaryRamKiB} KiB)`;
  }

  #unknown(task: Task): string | undefined {
    const machine = this.offered?.find(({ paths }) => paths.name === task.machine);
    const isOurs = machine?.state === "locked" && machine.manifest.bootstrap.versions["croft"] !== undefined;
    const others = [...task.tests, ...task.examples, ...task.benchmarks];
    if (!isOurs || others.length === 0) return undefined;
    return `it asks for tests, examples or benchmarks of other packages (${others.join(", ")}), which croft's worker does not perform`;
  }

  /** By way of the spool, so that it gets there, too, if the controller is away now. */
  async answer(received: ReceivedTask, { reason, goesElsewhere }: Refusal): Promise<void> {
    const entry = await this.#spool.begin(assignmentOf(received, received.task));
    const why = `The agent refuses this task: ${reason}`;
    const abort = agentResult(received.task, "abort", agentOperation, why);
    const result = goesElsewhere ? refusedHere(abort) : abort;
    await entry.setResult(resultRequest(entry.assignment, result));
    this.count++;
  }
}

function given(received: ReceivedTask, offered: Offered): Given {
  const { name, machine: wanted } = received.task;
  const machine = offered.find(
    (each) => each.paths.name === wanted && !(each.state === "locked" && isAuxiliary(each.manifest.machine)),
  );
  if (machine) return { received, machine };
  throw new Failure(`perform task '${name}'`, `there is no machine '${wanted}'`);
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
