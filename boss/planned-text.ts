/** What a run would do, for `--dry-run` and `--list`. */
import { existsSync, readdirSync } from "node:fs";
import { withoutUndefined } from "../os/without-undefined.ts";
import { formatTable } from "../os/text/table.ts";
import type { HostReport } from "./hosts/probe.ts";
import { hasCompiler } from "./dispatch/pool.ts";
import { hostArchitecture, type Target } from "./matrix/matrix.ts";
import type { Plan } from "./planning/plan.ts";
import { commitOfDirectory, ResultStore } from "./results/store.ts";

const commitsShown = 20;

type Planned = Pick<Plan, "targets" | "commits" | "counts" | "output" | "currentTree">;

/** The commits, how many targets each term has brought, and how much of it has results already. */
export function describePlan(plan: Planned, hosts: readonly string[]): string[] {
  const { targets, commits, counts } = plan;
  const architectures = Map.groupBy(targets, ({ arch }) => arch);
  const shown = commits.slice(0, commitsShown).map(({ hash, subject }, position) => {
    return `${String(position + 1).padStart(2, "0")}: ${hash === null ? "" : `${hash.slice(0, 12)} `}${subject}`;
  });
  const already = countResults(plan);
  return [
    ...shown,
    ...(commits.length > commitsShown ? [`… and ${commits.length - commitsShown} more commits`] : []),
    ...[...counts].map(([term, count]) => `${term}: ${count} boards`),
    `${targets.length} targets: ${[...architectures].map(([arch, all]) => `${all.length} ${arch}`).join(", ")}`,
    `${targets.length * commits.length} results, ${already} of them there already, in ${plan.output}`,
    `hosts: ${hosts.join(", ")}`,
  ];
}

/** Results that a run would not build again; nothing is written, and no directory renamed. */
function countResults({ output, targets, commits, currentTree }: Planned): number {
  if (!existsSync(output)) return 0;
  const there = new Map(readdirSync(output).map((name) => [commitOfDirectory(name)?.hash, name]));
  const store = new ResultStore(
    output,
    commits.map((commit) => ({
      ...commit,
      ...withoutUndefined({ directory: there.get(commit.hash ?? "") }),
    })),
  );
  const isThere = (target: Target, commit: number) =>
    store.returnCodeOf(target, commit) !== undefined &&
    (currentTree === undefined || store.readFile(target, commit, "source")?.trim() === currentTree);
  return targets.reduce(
    (sum, target) => sum + commits.filter((_, commit) => isThere(target, commit)).length,
    0,
  );
}

/** A line for each target: its architecture, and the hosts that have a compiler for it. */
export function describeTargets(targets: Plan["targets"], reports: readonly HostReport[]): string {
  const hosts = reports.flatMap(({ host, toolchains, problem }) =>
    problem === undefined ? [{ host, architectures: new Set(toolchains) }] : [],
  );
  const able = new Map<string, string>();
  for (const { arch } of targets) {
    if (able.has(arch)) continue;
    const names = hosts.filter((each) => hasCompiler(each, arch)).map(({ host }) => host);
    able.set(
      arch,
      names.join(", ") || (arch === hostArchitecture ? "none" : `none has a compiler for ${arch}`),
    );
  }
  return formatTable([
    ["target", "arch", "hosts"],
    ...targets.map(({ name, arch }) => [name, arch, able.get(arch)!]),
  ]);
}
