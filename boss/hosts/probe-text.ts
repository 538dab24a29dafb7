import type { HostReport } from "./probe.ts";
import { printable } from "../../os/terminal-text.ts";

/** A table of hosts, one line each. */
export function formatHosts(reports: readonly HostReport[]): string {
  const heading = [
    "host",
    "arch",
    "threads",
    "bogomips",
    "load",
    "memory",
    "disk",
    "node",
    "toolchains",
    "worker",
  ];
  const rows = reports.map((report) =>
    report.problem === undefined ? row(report) : [report.host, `(${report.problem})`],
  );
  const complete = [heading, ...rows.filter((cells) => cells.length > 2)];
  const widths = heading.map((_, column) =>
    Math.max(...complete.map((cells) => cells[column]!.length), column === 0 ? longest(rows) : 0),
  );
  return [heading, ...rows]
    .map((cells) =>
      cells.map((cell, column) => cell.padEnd(cells.length > 2 ? widths[column]! : widths[0]!)).join("  "),
    )
    .map((line) => `${printable(line.trimEnd())}\n`)
    .join("");
}

function row(report: HostReport): string[] {
  const gib = (mib: number | undefined) => `${((mib ?? 0) / 1024).toFixed(1)} GiB`;
  const missing = report.missingTools?.length ? `, without ${report.missingTools.join(" ")}` : "";
  return [
    report.host,
    report.architecture ?? "",
    String(report.threads ?? ""),
    String(report.bogomips ?? ""),
    String(report.load ?? ""),
    gib(report.freeMemoryMiB),
    gib(report.freeDiskMiB),
    report.node ?? "",
    report.toolchains?.join(" ") || "-",
    `${report.worker ?? ""}${missing}`,
  ];
}

function longest(rows: readonly string[][]): number {
  return Math.max(0, ...rows.map(([name]) => name!.length));
}
