/**
 * Makes running tasks of lower priority give way: the interrupter's side of the protocol.
 *
 * The interrupter holds the toolchain lock all the time, from the look at a holder's priority to the moment the
 * machine's lock is its own or given up. So there is one interrupter at a time, nobody takes a lock away that was waited
 * for, and of what it sees only this can change: a holder ends (by itself or by a signal), or suspends its task.
 *
 *     interrupter                                   holder, performing a task
 *     reads `<pid> <priority>`, pid holds the flock
 *     SIGUSR1                                       ignored once its result is there; else forces its machine down,
 *     tries the lock, again and again               removes the snapshot, releases the lock, reports `interrupt`
 *     has it; or reads `<pid>` (suspended), or the time is over: gives up, and reports `interrupt` itself
 *
 * Whoever of the two dies on the way, the kernel releases its locks. An interrupter has its own task in the spool
 * before it sends the first signal, so that its successor reports it.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { Failure, isSystemError, reasonOf } from "../../os/failure.ts";
import type { Log } from "../../os/log.ts";
import { countHolders } from "../../machines/copies.ts";
import type { Enumeration, HeldMachine } from "../../machines/enumeration/enumeration.ts";
import { holdsLock, MachineLock, tryMachineLock, type Holder } from "../../machines/locks.ts";
import type { ToolchainLock } from "../../machines/toolchain-lock.ts";
import type { Load, RunningTask } from "./priority.ts";

/** How long the holder of a machine may take to give it up. */
const waitSeconds = 60;
const pollMilliseconds = 200;

/** A task that another process performs on a copy of a machine that it holds. */
export interface HeldTask extends RunningTask {
  readonly machine: HeldMachine;
  readonly pid: number;
}

/** What others do on this host, as it was found when the machines were looked through. */
export function loadOf(enumeration: Enumeration, instanceMax: number): Load<HeldTask> {
  const running: HeldTask[] = [];
  for (const machine of enumeration.machines) {
    if (machine.state !== "held" || isOfGroup(machine)) continue;
    const { pid, priority } = machine.holder;
    if (pid !== undefined && priority !== undefined) running.push({ machine, pid, priority });
  }
  return { instanceMax, held: enumeration.heldCount, running };
}

/** An auxiliary machine is no task: its holder performs the one of its build machine, and gives back all of them with that. */
function isOfGroup({ manifest }: HeldMachine): boolean {
  return manifest?.role === "auxiliary";
}

/** What others do now, and the machines among theirs that have become free; disposing releases these. */
export interface FreshLoad extends Disposable {
  readonly load: Load<HeldTask>;
  /** Takes the lock of a machine of which a copy has become free: that one, or another one. */
  take(machine: HeldMachine): MachineLock | undefined;
}

/** Looks again at machines that were held: asking a controller takes time, and tasks end meanwhile. */
export function lookAgain(
  toolchainLock: ToolchainLock,
  enumeration: Enumeration,
  instanceMax: number,
): FreshLoad {
  using onFailure = new DisposableStack();
  const free = new Map<HeldMachine, MachineLock>();
  onFailure.defer(() => free.forEach((lock) => lock[Symbol.dispose]()));
  const running: HeldTask[] = [];
  const holders: Holder[] = [];
  for (const machine of enumeration.machines) {
    if (machine.state !== "held") continue;
    const found = tryLock(toolchainLock, machine);
    if (found instanceof MachineLock) free.set(machine, found);
    if (found === "gone" || found instanceof MachineLock) continue;
    holders.push(found);
    if (found.pid !== undefined && found.priority !== undefined && !isOfGroup(machine))
      running.push({ machine, pid: found.pid, priority: found.priority });
  }
  const resources = onFailure.move();
  return {
    load: { instanceMax, held: countHolders(holders), running },
    take: (machine) => {
      const isSame = ({ paths }: HeldMachine) => paths.bootstrapped === machine.paths.bootstrapped;
      const found = free.has(machine) ? machine : [...free.keys()].find(isSame);
      const lock = found && free.get(found);
      if (found) free.delete(found);
      return lock;
    },
    [Symbol.dispose]: () => resources.dispose(),
  };
}

/**
 * Interrupts tasks and waits until all of their machines are free; only the lock of one of these is kept.
 *
 * @param needed the one whose machine is wanted.
 * @returns the lock of that one.
 * @throws {Failure} if one does not give way: it is suspended, may not be signalled, or takes too long. The signal's
 * reason if aborted.
 */
export async function interruptTasks(
  toolchainLock: ToolchainLock,
  tasks: readonly HeldTask[],
  needed: HeldTask | undefined,
  { log, signal, seconds = waitSeconds }: { log: Log; signal: AbortSignal; seconds?: number },
): Promise<MachineLock | undefined> {
  for (const task of tasks) signalHolder(task, log);
  const deadline = performance.now() + seconds * 1000;
  const waiting = new Set(tasks);
  using onFailure = new DisposableStack();
  let lock: MachineLock | undefined;
  for (;;) {
    for (const task of waiting) {
      const found = tryLock(toolchainLock, task.machine);
      if (found !== "gone" && !(found instanceof MachineLock)) assertGivesWay(task, found);
      else {
        waiting.delete(task);
        if (found instanceof MachineLock) {
          if (task === needed) lock = onFailure.use(found);
          else found[Symbol.dispose]();
        } else if (task === needed) throw failure(task, "the machine was removed");
        log.milestone(fieldsOf(task), "interrupted task has given way");
      }
    }
    if (waiting.size === 0) break;
    if (performance.now() >= deadline)
      throw failure([...waiting][0]!, `it has not given way within ${seconds} s`);
    await sleep(pollMilliseconds, undefined, { signal }).catch(() => {});
    signal.throwIfAborted();
  }
  onFailure.move();
  return lock;
}

/** The kernel is asked at the last moment: a pid may be another process's by now, and SIGUSR1 ends most programs. */
function signalHolder(task: HeldTask, log: Log): void {
  if (!holdsLock(task.pid, task.machine.paths.lock)) return; // gone; its lock is about to be free
  try {
    process.kill(task.pid, "SIGUSR1");
  } catch (error) {
    if (isSystemError(error, "ESRCH")) return;
    throw failure(task, `process ${task.pid}: ${reasonOf(error)}`);
  }
  log.milestone(fieldsOf(task), "interrupting a task of lower priority");
}

/** @throws {Failure} if the task is not going to end. */
function assertGivesWay(task: HeldTask, { pid, priority }: Holder): void {
  // Between the truncation and the release of a lock, its holder is unknown: it is about to be free.
  if (pid === undefined || (pid === task.pid && priority === task.priority)) return;
  throw failure(task, pid === task.pid ? "it was suspended" : `process ${pid} has its machine now`);
}

function tryLock(toolchainLock: ToolchainLock, { paths }: HeldMachine): MachineLock | Holder | "gone" {
  try {
    return tryMachineLock(toolchainLock, paths);
  } catch (error) {
    if (error instanceof Failure && isSystemError(error.cause, "ENOENT", "ENOTDIR")) return "gone";
    throw error;
  }
}

function failure({ machine }: HeldTask, reason: string): Failure {
  return new Failure(`interrupt the task on machine '${machine.paths.name}'`, reason);
}

function fieldsOf({ machine, priority, pid }: HeldTask) {
  return { machine: machine.paths.name, priority, holder: pid }; // `pid` is the log's own
}
