import type { HostReport } from "./probe.ts";
import { formatTable } from "../../os/text/table.ts";
import { printable } from "../../os/text/terminal-text.ts";

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
  return formatTable([heading, ...rows].map((cells) => cells.map(printable)));
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
