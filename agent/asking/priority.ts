/**
 * Priorities of controllers, and what follows from them; pure.
 *
 * A priority is `[F]DCBA`, decimal digits. What a digit stands for is in what it makes higher than another priority:
 *
 *     A      asked earlier
 *     B      and while its task runs, controllers of lower DCB are not asked
 *     C      and it may interrupt one running task of lower DC
 *     D      and it interrupts all running tasks of lower D
 *     F      takes no part in comparisons; with a D, the machine gets what all instances together have
 *
 * `--instance-max 0` leaves the first of these only: then nobody knows how many tasks the host should run.
 */

/** A priority's levels: each the number that its digit and the ones before it form. */
export interface Levels {
  readonly dcba: number;
  readonly dcb: number;
  readonly dc: number;
  readonly d: number;
  readonly boost: boolean;
}

export function levelsOf(priority: number): Levels {
  const dcba = priority % 10_000;
  const [dcb, dc, d] = [10, 100, 1000].map((unit) => Math.floor(dcba / unit)) as [number, number, number];
  return { dcba, dcb, dc, d, boost: priority >= 10_000 };
}

/** A task that another instance performs. */
export interface RunningTask {
  readonly priority: number;
}

/** What an idle instance sees of its host. */
export interface Load<Task extends RunningTask> {
  /** How many instances may be busy; 0: nobody has said. */
  readonly instanceMax: number;
  /** How many machines others hold: for tasks, for bootstraps, or suspended. */
  readonly held: number;
  readonly running: readonly Task[];
}

/** All instances are busy that may be: one more task means one less of another. */
export function isFull({ instanceMax, held }: Load<RunningTask>): boolean {
  return instanceMax > 0 && held >= instanceMax;
}

/** What a controller may be asked for. */
export type Permission<Task> =
  /** The machines of these tasks may be offered besides the free ones, the least important first. */
  | { readonly ask: true; readonly interruptible: readonly Task[] }
  | { readonly ask: false; readonly reason: "a running task holds it back" | "no instance is free" };

/** What a controller of a priority may be asked for by an idle instance. */
export function permissionOf<Task extends RunningTask>(priority: number, load: Load<Task>): Permission<Task> {
  if (load.instanceMax === 0) return { ask: true, interruptible: [] };
  const { dcb } = levelsOf(priority);
  if (load.running.some((task) => levelsOf(task.priority).dcb > dcb))
    return { ask: false, reason: "a running task holds it back" };
  const interruptible = lowerTasks(priority, load.running);
  if (isFull(load) && interruptible.length === 0) return { ask: false, reason: "no instance is free" };
  return { ask: true, interruptible };
}

/**
 * The running tasks that a task of a priority interrupts before it begins: all of lower D; the one on the machine it
 * needs; and if the host would still be full without these, the lowest of those that it may interrupt.
 *
 * @param needed the task on the machine it needs, if that is not free; one of the running.
 */
export function tasksToInterrupt<Task extends RunningTask>(
  priority: number,
  load: Load<Task>,
  needed: Task | undefined,
): Task[] {
  if (load.instanceMax === 0) return [];
  const { d } = levelsOf(priority);
  const lower = lowerTasks(priority, load.running);
  const chosen = lower.filter((task) => task === needed || levelsOf(task.priority).d < d);
  if (isFull({ ...load, held: load.held - chosen.length })) {
    const lowest = lower.find((task) => !chosen.includes(task));
    if (lowest) chosen.push(lowest);
  }
  return chosen;
}

/** The tasks that may be interrupted, lowest first; of equal ones, those of machines that come first. */
function lowerTasks<Task extends RunningTask>(priority: number, running: readonly Task[]): Task[] {
  const { dc } = levelsOf(priority);
  return running
    .filter((task) => levelsOf(task.priority).dc < dc)
    .sort((a, b) => levelsOf(a.priority).dcba - levelsOf(b.priority).dcba);
}
