/** `croft boss bisect`: the first commit that breaks a target, looked for on all hosts. */
import { join } from "node:path";
import { UsageFailure } from "../os/failure.ts";
import type { OptionValues } from "../os/command-line/options.ts";
import { printable } from "../os/text/terminal-text.ts";
import { hostFaultOf } from "../worker/host-fault.ts";
import { bisect, type Answer, type BisectEvent, type BisectOutcome } from "./bisect/bisect.ts";
import { build } from "./build.ts";
import type { Host } from "./hosts/hosts.ts";
import { git, tryGit } from "./matrix/git.ts";
import type { MatrixCommit, Target } from "./matrix/matrix.ts";
import { localHost, makePlan, type Plan } from "./planning/plan.ts";
import { firstError } from "./results/first-error.ts";

const status = { found: 0, undecided: 2, interrupted: 130 };

/** @returns the exit status: 2 if a target's commit is not found. */
export async function runBisect(
  values: OptionValues,
  range: string,
  names: readonly string[],
  signal: AbortSignal,
): Promise<number> {
  const say = (text: string) => process.stderr.write(`${printable(text)}\n`);
  const source = String(values["source"]);
  const good = await goodCommit(source, range);
  const plan = await makePlan({ ...values, commits: range, "first-parent": true }, names, signal, say);
  for (const note of plan.notes) say(note);
  const local = values["no-local"] === true ? [] : [localHost(plan.project, undefined)];
  const hosts = [...local, ...plan.project.hosts];
  if (hosts.length === 0)
    throw new UsageFailure("bisect", "there are no hosts, and --no-local leaves this machine out");
  const commits = [good, ...plan.commits];
  let worst = status.found;
  for (const target of plan.targets) {
    try {
      const outcome = await bisect({
        last: commits.length - 1,
        hosts: hosts.map(({ name }) => name),
        build: (name, commit) =>
          buildOn(
            hosts.find((host) => host.name === name)!,
            target,
            commits[commit]!,
            { plan, values, signal, say },
          ),
        tell: (event) => say(describeEvent(event, commits)),
        signal,
      });
      for (const line of await describeOutcome(target, outcome, commits, plan.project.source))
        process.stdout.write(`${printable(line)}\n`);
      if (outcome.verdict.kind !== "found" || !isBetween(outcome.verdict.first, commits))
        worst = status.undecided;
    } catch (error) {
      if (signal.aborted) return status.interrupted;
      throw error;
    }
  }
  return worst;
}

/** @throws {UsageFailure} if that is no range from a commit to one that comes after it. */
async function goodCommit(source: string, range: string): Promise<MatrixCommit> {
  const [, good, bad] = /^(.+?)\.\.([^.].*)$/.exec(range) ?? [];
  if (good === undefined || bad === undefined || good.startsWith("-"))
    throw new UsageFailure(`bisect '${range}'`, "expected GOOD..BAD");
  const text = await tryGit(source, ["log", "-1", "--no-show-signature", "--format=%H %s", good, "--"]);
  if (text === undefined) throw new UsageFailure(`bisect '${range}'`, `there is no commit '${good}'`);
  const [hash = "", ...words] = text.split(" ");
  if ((await tryGit(source, ["merge-base", "--is-ancestor", hash, bad])) === undefined)
    throw new UsageFailure(`bisect '${range}'`, `'${bad}' does not come after '${good}'`);
  return { hash, subject: words.join(" ") };
}

interface Surroundings {
  plan: Plan;
  values: OptionValues;
  signal: AbortSignal;
  say: (text: string) => void;
}

/** Builds a target at a commit on just one host, whatever results there are. */
async function buildOn(
  host: Host,
  target: Target,
  commit: MatrixCommit,
  { plan, values, signal, say }: Surroundings,
): Promise<Answer> {
  const output = join(plan.output, "bisect", host.name);
  const single = { ...plan, targets: [target], commits: [commit], tips: [commit.hash!], output };
  const outcome = await build(single, {
    ...{ hosts: [host], batch: false, force: true, failuresAgain: false },
    buildTimeoutSeconds: values["build-timeout"] as number | undefined,
    connectTimeoutSeconds: values["connect-timeout"] as number,
    observe: () => ({}),
    onComplaint: (_, line) => {
      if (values["verbose"] === true) say(`[${host.name}] ${line}`);
    },
    signal,
  });
  const returnCode = outcome.remaining.length > 0 ? undefined : outcome.store.returnCodeOf(target, 0);
  if (returnCode === undefined) {
    const [reason] = [...outcome.absent, ...outcome.lost].map((each) => each.reason);
    const none = outcome.withoutToolchain.length > 0 ? `it has no toolchain for ${target.arch}` : undefined;
    return { fault: none ?? reason ?? outcome.givenUp.get(0) ?? "it gave no result" };
  }
  const stderr = outcome.store.readFile(target, 0, "err") ?? "";
  const fault = hostFaultOf({ return_code: returnCode, stderr });
  return fault === undefined ? { failed: returnCode !== 0, stderr } : { fault };
}

function describeEvent(event: BisectEvent, commits: readonly MatrixCommit[]): string {
  const name = nameOf(commits[event.commit]!);
  if (event.kind === "fault")
    return `${event.host} cannot tell of ${name}: ${event.reason}${event.leftOut ? "; it is left out" : ""}`;
  return `${event.host}: ${name} ${event.failed ? `fails: ${firstError(event.stderr) ?? "without a word"}` : "builds"}`;
}

async function describeOutcome(
  { name }: Target,
  outcome: BisectOutcome,
  commits: readonly MatrixCommit[],
  source: string,
): Promise<string[]> {
  const { verdict, builds, rounds, contradictory, stderrOf } = outcome;
  const end = [
    ...contradictory.map((commit) => `    ${nameOf(commits[commit]!)} has failed, and has been built`),
    `    ${builds} builds, ${rounds} one after the other`,
  ];
  if (verdict.kind === "undecided") {
    const [first, last] = [
      commits[verdict.first] ?? commits.at(-1)!,
      commits[verdict.last] ?? commits.at(-1)!,
    ];
    return [`${name}: undecided between ${nameOf(first)} and ${nameOf(last)}`, ...end];
  }
  const { first } = verdict;
  if (first >= commits.length) return [`${name}: ${nameOf(commits.at(-1)!)}, the bad commit, builds`, ...end];
  const error = newError(stderrOf(first, true) ?? "", stderrOf(first - 1, false) ?? "");
  if (first === 0) return [`${name}: ${nameOf(commits[0]!)}, the good commit, fails`, `    ${error}`, ...end];
  const commit = commits[first]!;
  return [
    `${name}: first bad commit is ${commit.hash} ${commit.subject}`,
    `    ${error}`,
    ...(await mergeHint(source, commit.hash!)),
    ...end,
  ];
}

/** What the parent did not say is the reason. */
function newError(stderr: string, parent: string): string {
  const known = new Set(parent.split("\n"));
  const added = stderr.split("\n").filter((line) => !known.has(line));
  return firstError(added.join("\n")) ?? firstError(stderr) ?? "it fails without a word";
}

/** Only merges are looked at along the first parents: what they bring has a history of its own. */
async function mergeHint(source: string, hash: string): Promise<string[]> {
  const [, first, second] = (await git(source, ["rev-list", "--parents", "-1", hash])).trim().split(" ");
  if (first === undefined || second === undefined) return [];
  const base = await tryGit(source, ["merge-base", first, second]);
  return base
    ? [`    it is a merge: bisect what it brings with ${base.slice(0, 12)}..${second.slice(0, 12)}`]
    : [];
}

function isBetween(first: number, commits: readonly MatrixCommit[]): boolean {
  return first > 0 && first < commits.length;
}

function nameOf({ hash, subject }: MatrixCommit): string {
  return `${hash!.slice(0, 12)} ${subject}`;
}
