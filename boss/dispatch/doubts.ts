import { returnCodes, type BuildResult } from "../../worker/protocol.ts";

/** A failure that may be the host's and not the target's: it counts only if nobody else can build that. */
export interface Doubt {
  worker: string;
  /** What speaks for the host's fault. */
  reason: string;
  result: BuildResult;
}

/** What is missing on all hosts is not looked for on each of them for each target. */
const isMissingProgram = (reason: string) => / not found$|: No such file or directory$/.test(reason);

/** Results that are in doubt, by positions of target and commit. */
export class Doubts {
  readonly #doubts = new Map<number, Map<number, Doubt[]>>();
  /** Target to the workers that have failed it so. */
  readonly #avoided = new Map<number, Set<string>>();
  readonly #missingEverywhere = new Set<string>();

  add(target: number, commit: number, doubt: Doubt): void {
    const ofTarget = this.#doubts.get(target) ?? new Map<number, Doubt[]>();
    this.#doubts.set(target, ofTarget.set(commit, [...(ofTarget.get(commit) ?? []), doubt]));
    this.#avoided.set(target, (this.#avoided.get(target) ?? new Set()).add(doubt.worker));
  }

  /** What hosts have failed of it. */
  at(target: number, commit: number): readonly Doubt[] {
    return this.#doubts.get(target)?.get(commit) ?? [];
  }

  /** Whether no host is known that would not fail for this. */
  isEverywhere(reason: string): boolean {
    return this.#missingEverywhere.has(reason);
  }

  /** Whether a target is not for this worker again. */
  avoids(target: number, worker: string): boolean {
    return this.#avoided.get(target)?.has(worker) === true;
  }

  /** How many results of a target are in doubt that this worker has sent. */
  count(target: number, worker: string): number {
    const doubts = [...(this.#doubts.get(target)?.values() ?? [])];
    return doubts.filter((ofCell) => ofCell.some((doubt) => doubt.worker === worker)).length;
  }

  /**
   * There is a result that counts.
   *
   * @returns what was in doubt, if it is known now that the hosts were to blame.
   */
  settle(target: number, result: BuildResult): readonly Doubt[] {
    const doubts = this.at(target, result.commit_upto);
    this.#doubts.get(target)?.delete(result.commit_upto);
    return result.return_code === returnCodes.built ? doubts : [];
  }

  /** All hosts that there are have failed for this. */
  noteEverywhere(target: number, commit: number, reason: string): void {
    const doubts = this.at(target, commit);
    if (doubts.length > 0 && doubts.every((doubt) => doubt.reason === reason) && isMissingProgram(reason))
      this.#missingEverywhere.add(reason);
  }

  targets(): number[] {
    return [...this.#doubts].flatMap(([target, doubts]) => (doubts.size > 0 ? [target] : []));
  }

  /** The last of each commit. */
  of(target: number): Doubt[] {
    return [...(this.#doubts.get(target)?.values() ?? [])].map((doubts) => doubts.at(-1)!);
  }
}
