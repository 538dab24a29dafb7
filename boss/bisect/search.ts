/**
 * Search for the first commit that fails, when some answers may be wrong.
 *
 * Commits are numbered from the good one (0) to the bad one (n). What is looked for is the first that fails: 0 if the good
 * one does already, n + 1 if the bad one does not. How often an answer is wrong is not known either, so each pair
 * of a first bad commit and a share of wrong answers has a probability, and each answer changes them (Bayes). Where all answers
 * agree, this is a search in as many parts as there are builds at a time, and a few builds more of the last two
 * commits; where they do not, it asks on until chance is no explanation.
 */

/** Shares of wrong answers, and how probable each is beforehand. Mostly, builds are right. */
const shares: readonly (readonly [wrong: number, probability: number])[] = [
  [0.001, 0.7],
  [0.08, 0.1],
  [0.2, 0.1],
  [0.32, 0.07],
  [0.42, 0.03],
];

/** How probable it is beforehand that the good commit fails, and that the bad one does not. */
const wrongEnds = 0.05;

/** From here on, a commit is found. */
const certainty = 0.99999;
/** Of commits that are undecided between, all together. */
const undecidedCertainty = 0.9999;

/** What is known. */
export type Verdict =
  | { kind: "found"; first: number }
  /** It is one from the first to the last. */
  | { kind: "undecided"; first: number; last: number };

export class Search {
  readonly #last: number;
  /** For each share of wrong answers, the probability of each first bad commit. */
  readonly #joint: Float64Array[];

  /** @param last the number of the bad commit. */
  constructor(last: number) {
    this.#last = last;
    this.#joint = shares.map(([, probability]) => {
      const inner = (1 - 2 * wrongEnds) / last;
      return Float64Array.from({ length: last + 2 }, (_, first) =>
        first === 0 || first > last ? probability * wrongEnds : probability * inner,
      );
    });
  }

  /** A commit was built: it failed, or it did not. */
  note(commit: number, failed: boolean): void {
    let sum = 0;
    for (const [at, [wrong]] of shares.entries()) {
      const of = this.#joint[at]!;
      for (let first = 0; first < of.length; first++)
        sum += of[first]! *= commit >= first === failed ? 1 - wrong : wrong;
    }
    for (const of of this.#joint) for (let first = 0; first < of.length; first++) of[first]! /= sum;
  }

  /** The commits to build next, all at a time; some more than once, if there is doubt about them only. */
  next(count: number): number[] {
    // The probability that a commit fails: that the first one which does is not after it.
    const fails: number[] = [];
    for (const probability of this.#marginal()) fails.push((fails.at(-1) ?? 0) + probability);
    return Array.from({ length: count }, (_, at) => {
      const wanted = (at + 1) / (count + 1);
      const after = Math.min(
        fails.findIndex((probability) => probability >= wanted),
        this.#last,
      );
      const before = Math.max(0, after - 1);
      return wanted - fails[before]! < fails[after]! - wanted ? before : after;
    });
  }

  get verdict(): Verdict {
    const probabilities = this.#marginal();
    const best = probabilities.reduce((most, each, at) => (each > probabilities[most]! ? at : most), 0);
    if (probabilities[best]! >= certainty) return { kind: "found", first: best };
    let [first, last, sum] = [best, best, probabilities[best]!];
    while (sum < undecidedCertainty && last - first < probabilities.length - 1) {
      const [before, after] = [probabilities[first - 1] ?? -1, probabilities[last + 1] ?? -1];
      sum += before > after ? probabilities[--first]! : probabilities[++last]!;
    }
    return { kind: "undecided", first, last };
  }

  #marginal(): Float64Array {
    return this.#joint[0]!.map((_, first) => this.#joint.reduce((sum, of) => sum + of[first]!, 0));
  }
}
