import type { BuildResult } from "../../worker/protocol.ts";

/** A failure that may be the host's and not the target's: it counts only if nobody else can build that. */
export interface Doubt {
  worker: string;
  result: BuildResult;
}

/** Results that are in doubt, by positions of target and commit. */
export class Doubts {
  readonly #doubts = new Map<number, Map<number, Doubt>>();
  /** Target to the workers that have failed it so. */
  readonly #avoided = new Map<number, Set<string>>();

  add(target: number, commit: number, doubt: Doubt): void {
    const ofTarget = this.#doubts.get(target) ?? new Map<number, Doubt>();
    this.#doubts.set(target, ofTarget.set(commit, doubt));
    this.#avoided.set(target, (this.#avoided.get(target) ?? new Set()).add(doubt.worker));
  }

  has(target: number, commit: number): boolean {
    return this.#doubts.get(target)?.has(commit) === true;
  }

  /** Whether a target is not for this worker again. */
  avoids(target: number, worker: string): boolean {
    return this.#avoided.get(target)?.has(worker) === true;
  }

  /** How many results of a target are in doubt that this worker has sent. */
  count(target: number, worker: string): number {
    const doubts = this.#doubts.get(target)?.values() ?? [];
    return [...doubts].filter((doubt) => doubt.worker === worker).length;
  }

  /** There is a result that counts. */
  settle(target: number, commit: number): void {
    this.#doubts.get(target)?.delete(commit);
  }

  targets(): number[] {
    return [...this.#doubts].flatMap(([target, doubts]) => (doubts.size > 0 ? [target] : []));
  }

  of(target: number): [commit: number, doubt: Doubt][] {
    return [...(this.#doubts.get(target) ?? [])];
  }
}
