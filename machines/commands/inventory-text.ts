import { formatBytes } from "../../os/text/size.ts";
import { formatTable } from "../../os/text/table.ts";
import { holdersOf } from "./inventory.ts";
import type { MachineReport, MachineSummary, TreeReport, Warmth } from "./inventory.ts";
import type { HeldMachine } from "./operator-commands.ts";
import type { Holder } from "../locks.ts";

const heading = ["MACHINE", "VOLUME", "CURRENT", "ID", "BOOTSTRAPPED", "WARM", "HELD BY", "SUMMARY"];

/** The table of `croft machine list`. */
export function formatList(machines: readonly MachineSummary[]): string {
  if (machines.length === 0) return "There are no machines. Make one with: croft machine create NAME\n";
  const rows = machines.map((machine) => [
    machine.name,
    machine.volume,
    machine.current ?? "-",
    machine.id ?? "-",
    machine.bootstrapped,
    machine.warm === undefined ? "-" : "bytes" in machine.warm ? "yes" : "no",
    describeUse(machine),
    [
      ...(machine.role === undefined ? [] : [machine.role]),
      machine.problem === undefined ? (machine.summary ?? "") : `unusable: ${machine.problem}`,
    ].join(": "),
  ]);
  return formatTable([heading, ...rows]);
}

/** The text of `croft machine show`. */
export function formatReport(report: MachineReport): string {
  const lines = [`${report.name} in volume ${report.volume}: ${report.directory}`, ""];
  lines.push("Revisions:");
  lines.push(
    ...indented(
      report.revisions.map((tree) => [
        tree.name === report.current ? "*" : " ",
        ...treeColumns(tree, tree.manifest?.id),
        tree.manifest?.summary ?? "",
      ]),
    ),
  );
  lines.push("Bootstrapped:");
  lines.push(
    ...indented(
      report.bootstrapped.map((tree) => [
        " ",
        ...treeColumns(tree, tree.manifest?.machine.id),
        tree.manifest ? describeVersions(tree.manifest.bootstrap.versions) : "",
        holdersOf(tree).length > 0 ? `held by ${describeHolders(tree)}` : "",
      ]),
    ),
  );
  for (const { name, warm } of report.bootstrapped)
    lines.splice(lines.length - 1, 0, `  ${name} ${describeWarmth(warm)}`);
  if (report.temporary.length > 0)
    lines.push("Temporary:", ...indented(report.temporary.map((tree) => [" ", ...treeColumns(tree, "")])));
  if (report.manifestText !== undefined)
    lines.push(
      `Manifest of ${report.current}:`,
      ...report.manifestText
        .trimEnd()
        .split("\n")
        .map((line) => `  ${line}`),
    );
  return `${lines.join("\n")}\n`;
}

function treeColumns(tree: TreeReport<unknown>, id: string | undefined): string[] {
  return [
    tree.name,
    formatBytes(tree.bytes),
    id ?? (tree.problem ? `unusable: ${tree.problem}` : "no manifest"),
  ];
}

function describeVersions(versions: Record<string, string>): string {
  return Object.entries(versions)
    .map(([component, version]) => `${component} ${version}`)
    .join(", ");
}

function describeWarmth(warm: Warmth): string {
  if ("bytes" in warm) return `is warm: tasks begin from its saved state (${formatBytes(warm.bytes)})`;
  return `is not warm, and booted for every task: ${warm.reason}`;
}

/** In the words of docs/machines-at-hand.md; a resumed machine is held until it ends. */
function describeHeld(name: string, { pid, reason, runs }: HeldMachine): string {
  const [state, commands] = runs ? ["resumed", "console|kill"] : ["suspended", "console|resume|kill"];
  return `pid ${pid}, ${state}, held for you (${reason}): croft machine ${commands} ${name}`;
}

/** Who has the machine; of several copies in use, each. */
function describeUse(machine: MachineSummary): string {
  const { name, held, copies } = machine;
  if (held === undefined || copies !== undefined) {
    const others = describeHolders(machine);
    return held === undefined ? others : `${others}; ${describeHeld(name, held)}`;
  }
  return describeHeld(name, held);
}

/** `pid 123, priority 0100`, or `copy 1: pid 123, priority 0100; copy 2: …`; whoever has all copies is told once. */
function describeHolders(machine: Pick<MachineSummary, "holder" | "copies">): string {
  const holders = holdersOf(machine);
  const [first] = holders;
  if (!first) return "-";
  const isOne = first.pid !== undefined && holders.every(({ pid }) => pid === first.pid);
  if (!machine.copies || (isOne && holders.length > 1)) return describeHolder(first);
  return machine.copies.map((each) => `copy ${each.copy}: ${describeHolder(each)}`).join("; ");
}

/** `pid 123, priority 0100` */
function describeHolder({ pid, priority }: Holder): string {
  if (pid === undefined) return "an unknown process";
  if (priority === undefined) return `pid ${pid}, bootstrapping or suspended`;
  return `pid ${pid}, priority ${String(priority).padStart(4, "0")}`;
}

function indented(rows: readonly string[][]): string[] {
  if (rows.length === 0) return ["  none", ""];
  return [
    ...formatTable(rows)
      .trimEnd()
      .split("\n")
      .map((line) => `  ${line}`),
    "",
  ];
}
