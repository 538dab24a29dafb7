/** Gets the machine of a task that a controller has given, from the tasks of lower priority if need be. */
import { Failure } from "../../os/failure.ts";
import type { Log } from "../../os/log.ts";
import type { Enumeration, HeldMachine, LockedMachine } from "../../machines/enumeration/enumeration.ts";
import { MachineExamination } from "../../machines/enumeration/examine.ts";
import type { EnumerationContext } from "../../machines/enumeration/enumeration-context.ts";
import type { MachineLock } from "../../machines/locks.ts";
import type { ToolchainLock } from "../../machines/toolchain-lock.ts";
import type { Backoff } from "../../os/backoff.ts";
import type { Settings } from "../settings/settings.ts";
import type { Status } from "../status/status.ts";
import { beginTask, type BeginContext } from "../task-state/begin-task.ts";
import { Interrupted } from "../task-state/interruption.ts";
import { interruptTasks, lookAgain, type HeldTask } from "./interrupter.ts";
import type { ReceivedTask } from "../task-state/received-task.ts";
import { isFull, tasksToInterrupt } from "./priority.ts";
import type { SpoolEntry } from "../task-state/spool.ts";

/** A machine that is ready, and locked for the task. */
export interface Acquired {
  machine: LockedMachine;
  /** If the task was written down already, since getting the machine took its time. */
  begun?: SpoolEntry;
}

/** A task that cannot be performed: its controller is told. */
export interface Abandoned {
  /** `interrupt`: to be given out again; `abort`: a fault of this host. */
  status: "interrupt" | "abort";
  reason: string;
  begun?: SpoolEntry;
}

/** What it takes to acquire a machine. */
interface AcquisitionContext extends BeginContext {
  readonly settings: Pick<Settings, "instanceMax" | "trust">;
  readonly status: Pick<Status, "set">;
  readonly log: Log;
}

export interface AcquisitionOptions {
  context: AcquisitionContext;
  /** As the machines were looked through. */
  enumerationContext: EnumerationContext;
  toolchainLock: ToolchainLock;
  enumeration: Enumeration;
  received: ReceivedTask;
  /** The one that the task is for, out of the enumeration. */
  machine: LockedMachine | HeldMachine;
  /** Controllers whose tasks have waited in vain for others to give way. */
  interruptionBackoff: Backoff<string>;
  signal: AbortSignal;
}

/** Locks the machine; interrupts those tasks that the priorities say, and waits for them. */
export async function acquireMachine(options: AcquisitionOptions): Promise<Acquired | Abandoned> {
  const acquisition = new Acquisition(options);
  const result = await acquisition.run();
  return acquisition.begun ? { ...result, begun: acquisition.begun } : result;
}

class Acquisition {
  begun: SpoolEntry | undefined;
  readonly #options: AcquisitionOptions;

  constructor(options: AcquisitionOptions) {
    this.#options = options;
  }

  async run(): Promise<Acquired | Abandoned> {
    try {
      return await this.#acquire();
    } catch (error) {
      if (error instanceof Interrupted) return { status: "interrupt", reason: error.message };
      if (error instanceof Failure) return { status: "abort", reason: error.message };
      throw error;
    }
  }

  async #acquire(): Promise<Acquired | Abandoned> {
    const { context, enumeration, machine, received, toolchainLock } = this.#options;
    using now = lookAgain(toolchainLock, enumeration, context.settings.instanceMax);
    using onFailure = new DisposableStack();
    let lock = machine.state === "locked" ? enumeration.take(machine) : now.take(machine);
    if (lock) onFailure.use(lock);
    const needed = lock ? undefined : now.load.running.find((task) => task.machine === machine);
    const tasks = tasksToInterrupt(received.controller.priority, now.load, needed);
    // A machine that is free needs an instance that is, too; one that is not, a task that gives way.
    if (lock ? tasks.length === 0 && isFull(now.load) : !needed || !tasks.includes(needed))
      return this.#giveUp("no task can be interrupted any more: it was suspended");
    if (tasks.length > 0) {
      const obtained = await this.#interrupt(tasks, needed);
      if (typeof obtained === "string") return this.#giveUp(obtained);
      if (obtained.lock) lock = onFailure.use(obtained.lock);
    }
    const ready = machine.state === "locked" ? machine : await this.#recheck(machine, lock!);
    if (!ready) return { status: "interrupt", reason: "the machine is another than was offered" };
    onFailure.move();
    return { machine: ready };
  }

  /**
   * Interrupts tasks; the own one is written down before, as this takes long enough to die in it.
   *
   * @returns the lock of the machine that is needed, if it was not free; or why there is none.
   */
  async #interrupt(
    tasks: readonly HeldTask[],
    needed: HeldTask | undefined,
  ): Promise<{ lock: MachineLock | undefined } | string> {
    const { context, received, toolchainLock, signal, interruptionBackoff } = this.#options;
    const { name, version } = received.task;
    const { url, priority } = received.controller;
    this.begun = await beginTask(context, received);
    context.status.set("interrupting", {
      task: `${name}/${version}`,
      reason: `${tasks.length} of lower priority`,
    });
    const log = context.log.child({ session: received.response.session, url, for: priority });
    try {
      const lock = await interruptTasks(toolchainLock, tasks, needed, { log, signal });
      interruptionBackoff.succeeded(url);
      return { lock };
    } catch (error) {
      if (error instanceof Failure) return error.message;
      throw error;
    }
  }

  /** Others did not give way: this controller's tasks shall not try it again for a while. */
  #giveUp(reason: string): Abandoned {
    const { context, received, interruptionBackoff } = this.#options;
    const { url } = received.controller;
    const pauseSeconds = interruptionBackoff.failed(url);
    context.log.warn({ url, reason, pauseSeconds }, "controller is offered free machines only for a while");
    return { status: "interrupt", reason };
  }

  /** The machine as it is now, if it is still the one that was offered: an operator may have replaced it. */
  async #recheck(offered: HeldMachine, lock: MachineLock): Promise<LockedMachine | undefined> {
    const { enumerationContext, toolchainLock } = this.#options;
    const examination = new MachineExamination(enumerationContext, toolchainLock, lock.paths);
    const found = await examination.recheck(lock);
    return found?.manifest.machine.id === offered.manifest?.id ? found : undefined;
  }
}
