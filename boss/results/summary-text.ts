/** The summary that is printed after a run. */
import type { Matrix } from "../matrix/matrix.ts";
import { printable } from "../../os/text/terminal-text.ts";
import type { BuildOutcome } from "./outcome.ts";
import type { CommitSummary, Summary } from "./summary.ts";

const shownMax = 20;

/** How much is told. */
export interface TextOptions {
  /** Each target has a line, however many there are. */
  all?: boolean;
  /** The same of changes of size alone. */
  detail?: boolean;
}

/** Newly broken and fixed targets, warnings and size changes of each commit, what was asked for besides, and the totals. */
export function formatSummary(matrix: Matrix, summary: Summary, options: TextOptions = {}): string {
  const lines: string[] = [];
  const nameOf = (position: number) => {
    const { hash, subject } = matrix.commitAt(position);
    return hash === null ? subject : `${hash.slice(0, 12)} ${subject}`;
  };
  for (const [position, commit] of summary.commits.entries())
    lines.push(
      `${String(position + 1).padStart(2, "0")}: ${nameOf(position)}`,
      ...commitLines(commit, options),
    );
  if (summary.flakes.length > 0)
    lines.push("Likely flakes: they failed, and later were built by themselves:");
  for (const { target, message, from, to } of summary.flakes)
    lines.push(`    ~ ${target}: ${message}`, `      failed at ${nameOf(from)}, built at ${nameOf(to)}`);
  const { built, warning, failed, missing } = summary.totals;
  lines.push(`${built + warning + failed} built: ${built} ok, ${warning} with warnings, ${failed} failed`);
  if (missing > 0) lines.push(`${missing} without result`);
  return lines.map((line) => `${printable(line)}\n`).join("");
}

function commitLines(commit: CommitSummary, { all = false, detail = all }: TextOptions): string[] {
  const lines = {
    broken: commit.broken.map(({ target, message }) => `    + ${target}: ${message}`),
    fixed: commit.fixed.map((target) => `    - ${target} works again`),
    warnings: commit.newWarnings.map(({ target, message }) => `    w ${target}: ${message}`),
    sizes: commit.sizes.map(({ target, changes }) => `    s ${target}: ${changes.join("; ")}`),
  };
  const asked = detailLines(commit);
  if (all) return [...Object.values(lines).flat(), ...asked];
  return [
    ...limited(lines.broken.length > shownMax ? grouped("+", commit.broken) : lines.broken),
    ...limited(lines.fixed),
    ...limited(lines.warnings.length > shownMax ? grouped("w", commit.newWarnings) : lines.warnings),
    ...(detail || lines.sizes.length <= shownMax ? lines.sizes : sizesByArchitecture(commit)),
    ...asked,
  ];
}

/** Of many targets, what those of an architecture have grown by on average. */
function sizesByArchitecture({ sizesOf }: CommitSummary): string[] {
  return Object.entries(sizesOf).map(([arch, { targets, ...sums }]) => {
    const averages = Object.entries(sums).flatMap(([section, bytes]) => {
      const average = Math.round((10 * bytes) / targets) / 10;
      return average === 0 ? [] : [`${section} ${average > 0 ? "+" : ""}${average}`];
    });
    return `    s ${arch}: ${targets} targets, on average ${averages.join(" ") || "nothing"} (--detail names all)`;
  });
}

/** Configurations and environments: what several targets have alike is told once. Functions: target by target. */
function detailLines({ details }: CommitSummary): string[] {
  const alike = (mark: string, told: { target: string; changes: string[] }[] = []) =>
    [...Map.groupBy(told, ({ changes }) => changes.join("\n"))].flatMap(([, same]) => {
      const names = nameSome(same.map(({ target }) => target));
      return same[0]!.changes.map((change) => `    ${mark} ${names}: ${change}`);
    });
  return [
    ...alike("c", details.config),
    ...alike("e", details.environment),
    ...(details.functions ?? []).flatMap(({ target, changes }) => [
      `    f ${target}:`,
      ...changes.map((change) => `        ${change}`),
    ]),
  ];
}

/** Each message once, those of most targets first. */
function grouped(mark: string, told: CommitSummary["broken"]): string[] {
  const groups = [...Map.groupBy(told, ({ message }) => message)].sort(([, a], [, b]) => b.length - a.length);
  return groups.map(([message, same]) => {
    const who = same.length === 1 ? same[0]!.target : `${same.length} targets`;
    return `    ${mark} ${who}: ${message}`;
  });
}

function limited(lines: string[]): string[] {
  if (lines.length <= shownMax) return lines;
  return [
    ...lines.slice(0, shownMax),
    `      … and ${lines.length - shownMax} more (--list-targets names all)`,
  ];
}

/** What of an outcome is told by it. */
type RunEvents = Pick<
  BuildOutcome,
  | "matrix"
  | "doubted"
  | "strained"
  | "drift"
  | "changedCompilers"
  | "absent"
  | "lost"
  | "givenUp"
  | "withoutToolchain"
  | "remaining"
  | "traffic"
  | "interrupted"
>;

/** What went wrong besides builds: hosts, workers, targets that nobody built; and the traffic. */
export function formatEvents(outcome: RunEvents): string {
  const { matrix } = outcome;
  const name = (target: number) => matrix.targetAt(target).name;
  const lines = [
    ...outcome.absent.map(
      ({ host, reason, busy }) => `host ${host} ${busy ? "was busy" : "did not take part"}: ${reason}`,
    ),
    ...outcome.lost.map(({ host, reason }) => `worker on ${host} was lost: ${reason}`),
    ...doubtedLines(outcome),
    ...[...outcome.strained].map(([host, reason]) => `host ${host}: ${reason}`),
    ...compilerLines(outcome),
    ...[...outcome.givenUp].map(([target, reason]) => `${name(target)} was given up: ${reason}`),
    ...groupByArchitecture(outcome),
    ...remainingLines(outcome),
    ...outcome.traffic.map(
      ({ host, sent, received }) => `${host}: ${sent} bytes said to the worker, ${received} bytes heard`,
    ),
  ];
  if (outcome.traffic.length > 1) {
    const sum = (key: "sent" | "received") => outcome.traffic.reduce((total, each) => total + each[key], 0);
    lines.push(`in total: ${sum("sent")} bytes said, ${sum("received")} bytes heard`);
  }
  return lines.map((line) => `${printable(line)}\n`).join("");
}

/** Sizes and warnings that differ may be the compilers' doing. */
function compilerLines({ drift, changedCompilers }: RunEvents): string[] {
  return [
    ...drift.map(({ architecture, versions }) => {
      const each = versions.map(({ version, hosts }) => `${version} on ${nameSome(hosts)}`);
      return `compilers for ${architecture} differ: ${each.join("; ")}`;
    }),
    ...changedCompilers.map(
      ({ host, architecture, before, now }) =>
        `host ${host} has another compiler for ${architecture} than in its last run: ${before} -> ${now}`,
    ),
  ];
}

/** Once for each host, with the reason that it had most often. */
function doubtedLines({ doubted }: RunEvents): string[] {
  return [...Map.groupBy(doubted, ({ host }) => host)].map(([host, all]) => {
    const times = all.reduce((sum, each) => sum + each.times, 0);
    const { reason } = all.reduce((most, each) => (each.times > most.times ? each : most));
    const others = all.length > 1 ? ` (and ${all.length - 1} other reasons, in .croft.log)` : "";
    return `host ${host} has a fault: ${times} results were built elsewhere: ${reason}${others}`;
  });
}

function groupByArchitecture({ matrix, withoutToolchain }: RunEvents): string[] {
  const groups = Map.groupBy(withoutToolchain, (target) => matrix.targetAt(target).arch);
  const lines = [...groups].map(
    ([arch, targets]) =>
      `left out, as no host has a toolchain for ${arch}: ${nameSome(targets.map((at) => matrix.targetAt(at).name))}`,
  );
  return lines.length > 0 ? [...lines, "croft boss toolchains says where compilers can be had."] : [];
}

function remainingLines({ matrix, remaining, givenUp, withoutToolchain, interrupted }: RunEvents): string[] {
  const others = remaining.filter((at) => !givenUp.has(at) && !withoutToolchain.includes(at));
  if (others.length === 0) return [];
  const names = nameSome(others.map((at) => matrix.targetAt(at).name));
  const why = interrupted ? "the run was interrupted" : "no worker is left";
  return [`not built, as ${why}: ${names}`, "Run the same command again to build what is missing."];
}

function nameSome(names: readonly string[]): string {
  return names.length <= shownMax
    ? names.join(", ")
    : `${names.slice(0, shownMax).join(", ")} and ${names.length - shownMax} more`;
}
