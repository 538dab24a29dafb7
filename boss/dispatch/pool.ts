import { hostArchitecture, type Target } from "../matrix/matrix.ts";

/** Who takes targets. */
export interface Taker {
  /** What it has toolchains for. */
  readonly architectures: ReadonlySet<string>;
  /** Whether a target is for it. */
  readonly fits: (target: number) => boolean;
}

/** Whether a worker has what targets of an architecture take: every host has a compiler of its own. */
export function hasCompiler({ architectures }: Pick<Taker, "architectures">, architecture: string): boolean {
  return architecture === hostArchitecture || architectures.has(architecture);
}

/**
 * Targets that wait for a worker: those that took longest in earlier runs first, so that no long one is left for the
 * end. A queue for each architecture, since a worker takes only what it has a toolchain for.
 */
export class Pool {
  readonly #targets: readonly Target[];
  readonly #rank: Uint32Array;
  readonly #queues = new Map<string, Queue>();
  #size = 0;

  /**
   * @param positions targets to be built.
   * @param durationSeconds of a target in earlier runs; undefined: unknown, which counts as the longest.
   */
  constructor(
    targets: readonly Target[],
    positions: readonly number[],
    durationSeconds: (target: Target) => number | undefined = () => undefined,
  ) {
    this.#targets = targets;
    const order = positions
      .map((position) => ({ position, seconds: durationSeconds(targets[position]!) ?? Infinity }))
      .sort((a, b) => (a.seconds === b.seconds ? a.position - b.position : b.seconds - a.seconds));
    this.#rank = new Uint32Array(targets.length);
    for (const [rank, { position }] of order.entries()) {
      this.#rank[position] = rank;
      this.#queueOf(position).append(position);
    }
    this.#size = positions.length;
  }

  get size(): number {
    return this.#size;
  }

  /** True if there is something for a worker. */
  hasFor(taker: Taker): boolean {
    return this.#bestFor(taker) !== undefined;
  }

  /** Takes the next target for a worker. */
  take(taker: Taker): number | undefined {
    const target = this.#bestFor(taker);
    if (target !== undefined) this.remove(target);
    return target;
  }

  /** Takes a target out; false if it is not there. */
  remove(position: number): boolean {
    if (!this.#queueOf(position).remove(position)) return false;
    this.#size--;
    return true;
  }

  /** Puts a target of a lost worker back: it has waited longest. */
  putBack(position: number): void {
    this.#queueOf(position).prepend(position);
    this.#size++;
  }

  /** What is left, in no particular order. */
  remaining(): number[] {
    return [...this.#queues.values()].flatMap((queue) => queue.positions());
  }

  #bestFor(taker: Taker): number | undefined {
    let best: number | undefined;
    for (const [architecture, queue] of this.#queues) {
      if (!hasCompiler(taker, architecture)) continue;
      const first = queue.firstThat(taker.fits);
      if (first === undefined) continue;
      if (best === undefined || this.#rank[first]! < this.#rank[best]!) best = first;
    }
    return best;
  }

  #queueOf(position: number): Queue {
    const { arch } = this.#targets[position]!;
    let queue = this.#queues.get(arch);
    if (!queue) this.#queues.set(arch, (queue = new Queue()));
    return queue;
  }
}

/** First in, first out; what is put back comes first. */
class Queue {
  #items: number[] = [];
  #head = 0;
  readonly #front: number[] = [];

  /** Of those that were put back, some are not for everybody. */
  firstThat(fits: (target: number) => boolean): number | undefined {
    return this.#front.findLast(fits) ?? this.#items[this.#head];
  }

  append(position: number): void {
    this.#items.push(position);
  }

  prepend(position: number): void {
    this.#front.push(position);
  }

  /** Only what was put back, or is the first of the others, is ever taken. */
  remove(position: number): boolean {
    const at = this.#front.lastIndexOf(position);
    if (at >= 0) this.#front.splice(at, 1);
    else if (this.#items[this.#head] === position) this.#head++;
    else return false;
    return true;
  }

  positions(): number[] {
    return [...this.#front, ...this.#items.slice(this.#head)];
  }
}
