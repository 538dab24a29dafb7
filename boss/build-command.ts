import { UsageFailure } from "../os/failure.ts";
import type { OptionValues } from "../os/command-line/options.ts";
import { build } from "./build.ts";
import type { BuildOutcome } from "./results/outcome.ts";
import { farmOf } from "./farm/farm-options.ts";
import { jsonEvents } from "./json-events.ts";
import type { Host } from "./hosts/hosts.ts";
import { temporaryDirectory } from "../os/files/temporary.ts";
import { probeHosts } from "./hosts/probe.ts";
import { describePlan, describeTargets } from "./planned-text.ts";
import { localHost, makePlan, type Plan } from "./planning/plan.ts";
import { summaryOptions, textOptions } from "./planning/result-options.ts";
import { withoutUndefined } from "../os/without-undefined.ts";
import { Progress } from "./progress.ts";
import { printable } from "../os/text/terminal-text.ts";
import { formatEvents, formatSummary } from "./results/summary-text.ts";
import { summarize, type Summary } from "./results/summary.ts";

const status = { built: 0, warnings: 1, incomplete: 2, interrupted: 130 };

/** `croft boss build`. @returns the exit status. */
export async function runBuild(
  values: OptionValues,
  names: readonly string[],
  signal: AbortSignal,
): Promise<number> {
  const say = (text: string) => process.stderr.write(`${printable(text)}\n`);
  const plan = await makePlan(values, names, signal, say);
  for (const note of plan.notes) say(note);
  const farm = await farmOf(values, { ...plan, source: plan.project.source }, say);
  const local =
    values["no-local"] === true ? [] : [localHost(plan.project, values["max-builds"] as number | undefined)];
  if (values["local-only"] === true && values["no-local"] === true)
    throw new UsageFailure("build", "--local-only and --no-local exclude each other");
  const hosts = values["local-only"] === true ? local : [...plan.project.hosts, ...local];
  if (hosts.length === 0)
    throw new UsageFailure("build", "there are no hosts, and --no-local leaves this machine out");
  if (values["dry-run"] === true || values["list"] === true) return await showPlan(plan, hosts, values);
  const json = values["json"] === true;
  const told = summaryOptions(values);
  let progress: Progress | undefined;
  const outcome = await build(plan, {
    hosts,
    batch: values["batch"] === true,
    force: values["force"] === true,
    failuresAgain: values["force-failures"] === true,
    buildTimeoutSeconds: values["build-timeout"] as number | undefined,
    connectTimeoutSeconds: values["connect-timeout"] as number,
    mostLoadPercent: values["load"] as number | undefined,
    signal,
    ...withoutUndefined({ filter: told.filter, farm }),
    onComplaint: (host: Host, line: string) => {
      if (values["verbose"] !== true) return;
      const text = `[${host.name}] ${line}`;
      if (progress) progress.line(text);
      else process.stderr.write(`${printable(text)}\n`);
    },
    observe: (matrix) => {
      if (json) return jsonEvents(matrix, (line) => process.stdout.write(line));
      progress = new Progress(matrix, process.stderr);
      return progress.observer;
    },
  }).finally(() => progress?.[Symbol.dispose]());
  const summary = summarize(outcome.store, outcome.matrix, { ...told, memory: outcome.memory });
  if (json) process.stdout.write(`${JSON.stringify(jsonSummary(outcome, summary))}\n`);
  else {
    process.stdout.write(formatSummary(outcome.matrix, summary, textOptions(values)));
    process.stderr.write(formatEvents(outcome));
  }
  return exitStatus(outcome, summary, values["werror"] === true);
}

/** Builds nothing. */
async function showPlan(plan: Plan, hosts: readonly Host[], values: OptionValues): Promise<number> {
  if (values["list"] === true) {
    await using directory = await temporaryDirectory("cb-");
    const connectTimeoutSeconds = values["connect-timeout"] as number;
    const ssh = { controlDirectory: directory.path, connectTimeoutSeconds };
    const reports = await probeHosts(hosts, ssh, plan.toolchains);
    process.stdout.write(printable(describeTargets(plan.targets, reports)));
    for (const { host, problem } of reports)
      if (problem !== undefined) process.stderr.write(`${printable(`host ${host}: ${problem}`)}\n`);
  }
  if (values["dry-run"] === true) {
    const lines = describePlan(
      plan,
      hosts.map(({ name }) => name),
    );
    process.stdout.write(lines.map((line) => `${printable(line)}\n`).join(""));
  }
  return status.built;
}

function exitStatus(outcome: BuildOutcome, { totals }: Summary, werror: boolean): number {
  if (outcome.interrupted) return status.interrupted;
  // What was to be built anew and was not may still have its old result.
  if (totals.failed > 0 || totals.missing > 0 || outcome.remaining.length > 0) return status.incomplete;
  return werror && totals.warning > 0 ? status.warnings : status.built;
}

function jsonSummary(outcome: BuildOutcome, summary: Summary): Record<string, unknown> {
  const { matrix, remaining, givenUp, withoutToolchain, traffic, already, interrupted } = outcome;
  const { absent, lost, doubted, drift, changedCompilers, strained } = outcome;
  const name = (target: number) => matrix.targetAt(target).name;
  return {
    event: "summary",
    time: new Date().toISOString(),
    totals: summary.totals,
    flakes: summary.flakes.map(({ target, message, from, to }) => ({
      ...{ target, message, failedAt: matrix.commitAt(from).hash, builtAt: matrix.commitAt(to).hash },
    })),
    already,
    interrupted,
    remaining: remaining.map(name),
    givenUp: Object.fromEntries([...givenUp].map(([target, reason]) => [name(target), reason])),
    withoutToolchain: withoutToolchain.map(name),
    absent,
    lost,
    doubted,
    ...{ drift, changedCompilers, strained: Object.fromEntries(strained) },
    traffic,
    commits: summary.commits.map((commit, position) => ({
      commit: matrix.commitAt(position).hash,
      ...commit,
    })),
  };
}
