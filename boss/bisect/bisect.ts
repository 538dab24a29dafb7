/** Bisection on several hosts: each round builds as many commits as there are hosts, and what contradicts itself again. */
import { Failure } from "../../os/failure.ts";
import { Search, type Verdict } from "./search.ts";

/** What a host says of a commit; `fault`: why it could not tell. */
export type Answer = { failed: boolean; stderr: string } | { fault: string };

export interface BisectOptions {
  /** The number of the bad commit; the good one's is 0. */
  last: number;
  /** Names of hosts. */
  hosts: readonly string[];
  /** Builds anew; called for one commit at a time on a host. */
  build: (host: string, commit: number) => Promise<Answer>;
  tell: (event: BisectEvent) => void;
  signal: AbortSignal;
  mostBuilds?: number;
}

export type BisectEvent =
  | { kind: "answer"; host: string; commit: number; failed: boolean; stderr: string }
  | { kind: "fault"; host: string; commit: number; reason: string; leftOut: boolean };

export interface BisectOutcome {
  verdict: Verdict;
  builds: number;
  /** One after the other, each on all hosts. */
  rounds: number;
  /** Commits that have failed once and been built once. */
  contradictory: number[];
  /** Standard error of a commit's last build that failed, or that did not. */
  stderrOf: (commit: number, failed: boolean) => string | undefined;
}

const mostBuilds = 200;
/** A host that could not tell so often is not asked again. */
const mostFaults = 2;

/**
 * Looks for the first commit that fails.
 *
 * @throws {Failure} if no host is left that could build; the signal's reason, if it is aborted.
 */
export async function bisect(options: BisectOptions): Promise<BisectOutcome> {
  const search = new Search(options.last);
  const faults = new Map<string, string[]>();
  const builtBy = new Map<number, Set<string>>();
  const said = { failed: new Map<number, string>(), built: new Map<number, string>() };
  let [builds, rounds] = [0, 0];
  while (search.verdict.kind !== "found" && builds < (options.mostBuilds ?? mostBuilds)) {
    options.signal.throwIfAborted();
    const able = options.hosts.filter((host) => (faults.get(host)?.length ?? 0) < mostFaults);
    if (able.length === 0)
      throw new Failure(
        "bisect",
        `no host is left that could build: ${[...faults].map(faultText).join("; ")}`,
      );
    const asked = assign(search.next(able.length), able, builtBy);
    rounds++;
    const answers = await Promise.all(asked.map(([host, commit]) => options.build(host, commit)));
    options.signal.throwIfAborted();
    for (const [at, [host, commit]] of asked.entries()) {
      const answer = answers[at]!;
      if ("fault" in answer) {
        const reasons = [...(faults.get(host) ?? []), answer.fault];
        faults.set(host, reasons);
        const leftOut = reasons.length >= mostFaults;
        options.tell({ kind: "fault", host, commit, reason: answer.fault, leftOut });
        continue;
      }
      builds++;
      search.note(commit, answer.failed);
      (answer.failed ? said.failed : said.built).set(commit, answer.stderr);
      builtBy.set(commit, (builtBy.get(commit) ?? new Set()).add(host));
      options.tell({ kind: "answer", host, commit, ...answer });
    }
  }
  return {
    ...{ verdict: search.verdict, builds, rounds },
    contradictory: [...said.failed.keys()].filter((commit) => said.built.has(commit)).sort((a, b) => a - b),
    stderrOf: (commit, failed) => (failed ? said.failed : said.built).get(commit),
  };
}

/** What was built before goes to another host, where there is one. */
function assign(
  commits: readonly number[],
  hosts: readonly string[],
  builtBy: ReadonlyMap<number, ReadonlySet<string>>,
): [host: string, commit: number][] {
  const free = new Set(hosts);
  return commits.map((commit) => {
    const others = [...free].filter((host) => builtBy.get(commit)?.has(host) !== true);
    const host = others[0] ?? [...free][0]!;
    free.delete(host);
    return [host, commit];
  });
}

function faultText([host, reasons]: [string, readonly string[]]): string {
  return `${host}: ${reasons.at(-1)}`;
}
